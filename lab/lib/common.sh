# shellcheck shell=bash
# What every other part uses: messages, errors, time, locks.

note() { printf 'lab: %s\n' "$*" >&2; }

# die WHAT-WAS-FOUND CURE: the last sentence always tells the person what to do.
die() { printf 'lab: error: %s. %s\n' "$1" "$2" >&2; exit 1; }

usage_error() { printf 'lab: %s. %s\n' "$1" "$2" >&2; exit 2; }

require_root() {
  [[ $EUID -eq 0 ]] || die "network namespaces and tap devices need root, this is uid $EUID" \
    "Run the same command as root, for instance with sudo."
}

# Seconds since the epoch with fractions, without starting a process.
now() { printf '%s' "$EPOCHREALTIME"; }

# since START: seconds with one decimal.
since() {
  local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
  printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# run_logged LOG DESCRIPTION COMMAND...: quiet when it works, the log's end when it does not.
run_logged() {
  local log=$1 description=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    die "$description failed (command: $*; its last lines are above, all of it in $log)" \
      "Mend what the log names and run the same lab command again."
  fi
}

# lock FILE WHAT [shared]: held until this shell ends. Long-lived children don't inherit it: start_process sees to that.
lock() {
  local file=$1 what=$2 mode=--exclusive fd
  [[ ${3:-} != shared ]] || mode=--shared
  mkdir -p "$(dirname "$file")"
  exec {fd}>"$file"
  flock --nonblock "$mode" "$fd" && return
  note "waiting for another lab command that works on $what"
  flock --timeout 900 "$mode" "$fd" || die "another lab command has held $file for 15 minutes" \
    "See what it is with \"fuser -v $file\" and end it."
}

# lock_lab: for verbs that touch both hosts or the network
lock_lab() { lock "$STATE/lock" "the lab \"$LAB_NAME\""; }

# lock_part server|client|link: for verbs that touch one part; the others can be worked on at the same time
lock_part() {
  lock "$STATE/lock" "the lab \"$LAB_NAME\"" shared
  lock "$STATE/lock-$1" "$1 of the lab \"$LAB_NAME\""
}

# join_parallel PID...: waits for all of them, fails if one failed.
join_parallel() {
  local pid failed=0
  for pid; do wait "$pid" || failed=1; done
  return "$failed"
}
