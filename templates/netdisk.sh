#!/bin/sh
# netdisk: what the disks of this host are doing, and what only a human may decide. Written by netdisk.
set -u

lib={{dir}}
helper={{helper}}

usage() {
  cat <<'END'
netdisk status [NAME]            every disk with a session: link, since when and why, what waits, what is not safe yet,
                                 and the bytes per second that are read and written just now
netdisk status [NAME] --json     the same without the rates, for programs; it does not wait for a second to pass
netdisk status [NAME] --metrics  for Prometheus: what node_exporter's textfile collector reads
netdisk resume NAME              dial the server now (after a full or failing disk there was cured)
netdisk fail NAME                pass the server's error replies up to the programs, instead of waiting
netdisk abort NAME               give the disk up: what the server does not have is lost
netdisk lease NAME               ask the server who holds the disk
netdisk takeover NAME            take the disk from whoever holds it; their unwritten data never reaches it
END
}

die() {
  echo "netdisk: $1" >&2
  exit 1
}

session() {
  [ -x "$lib/session@$1" ] || die "there is no disk $1 with a session on this host. netdisk status lists them."
  name=$1
  session=$lib/session@$1
}

names() {
  for script in "$lib"/session@*; do
    [ ! -x "$script" ] || echo "${script#*@}"
  done
}

# One line of JSON: what the plugin says, and what the host knows besides. Nobody waits for the disk or its server here.
json_of() {
  name=$1
  if line=$("$lib/session@$name" status 2>/dev/null); then :; else
    # What cannot be asked is not stopped.
    case $? in
      3) line="{\"name\":\"$name\",\"state\":\"stopped\"}" ;;
      *) line="{\"name\":\"$name\",\"state\":\"unknown\",\"kind\":\"unanswered\",\"reason\":\"its plugin does not answer. systemctl restart netdisk-session@$name starts another one, which is a pause for the disk's users\"}" ;;
    esac
  fi
  node=$(readlink -e "{{device}}" || true)
  uuid=
  [ ! -e "{{header}}" ] || uuid=$(cryptsetup luksUUID "{{header}}") || uuid=unknown
  fs_uuid=$("$lib/mount@$name" uuid 2>/dev/null)
  # The server serves its holder only. Else it would have to be asked.
  case $(value state) in up | replaying) lease=held ;; *) lease=unknown ;; esac
  where=$(findmnt -n -o TARGET --source "{{mapped}}" 2>/dev/null | head -n 1 | sed 's/["\\]/\\&/g')
  given_up=$(cat "{{givenUp}}" "{{givenUp}}.told" 2>/dev/null | head -n 1 | sed 's/["\\]/\\&/g')
  echo "${line%\}},\"device\":\"$node\",\"luks_uuid\":\"$uuid\",\"fs_uuid\":\"$fs_uuid\",\"lease\":\"$lease\",\"mount\":\"$where\",\"given_up\":\"$given_up\"}"
}

{{statusField}}

# The value of a key in $line.
value() { printf '%s' "$line" | field "$1"; }

# What there is to say of each disk in $all, a line of JSON each.
look() {
  for name in $all; do json_of "$name"; done
}

# metric NAME TYPE HELP KEY: one for each line of $looked. KEY: of the status, or an expression with a `=`, which is 1 or 0.
metric() {
  printf '# HELP netdisk_%s %s\n# TYPE netdisk_%s %s\n' "$1" "$3" "$1" "$2"
  printf '%s\n' "$looked" | while read -r line; do
    [ -n "$line" ] || continue
    case $4 in
      *=*) if [ "$(value "${4%%=*}")" = "${4#*=}" ]; then number=1; else number=0; fi ;;
      *) number=$(value "$4") ;;
    esac
    # A stopped disk has none; of one that could not be asked nothing is known.
    [ -n "$number" ] || [ "$(value state)" != unknown ] || continue
    printf 'netdisk_%s{disk="%s"} %s\n' "$1" "$(value name)" "${number:-0}"
  done
}

metrics() {
  looked=$(look)
  metric up gauge "1 while there is a session with the server and nothing waits for a replay" state=up
  metric unknown gauge "1 where the plugin does not answer, so that nothing else is known" state=unknown
  metric parked gauge "1 while requests wait for the link or the server" state=parked
  metric state_seconds gauge "How long the state has lasted" since
  metric waiting_requests gauge "Requests of the kernel that wait for an answer" waiting
  metric oldest_request_seconds gauge "How long the oldest of them waits" oldest
  metric retained_bytes gauge "Acknowledged bytes that the server has not made safe yet" retained
  metric retain_limit_bytes gauge "What may be retained at most" retain_limit
  metric read_bytes_total counter "Read by the kernel since the plugin started" read
  metric written_bytes_total counter "Written by the kernel since the plugin started" written
  metric replayed_bytes_total counter "Written again after a lost session, since the plugin started" replayed
  metric sessions_total counter "Sessions with the server since the plugin started" sessions
  metric dials_total counter "Attempts to reach the server since the plugin started" dials
  metric lost_bytes_total counter "Acknowledged bytes that were given up" lost
}

json() {
  looked=$(look)
  echo "[$(printf '%s' "$looked" | sed '1!s/^/ /; $!s/$/,/')]"
  all_known
}

# Fails where something of $looked could not be read.
all_known() { ! printf '%s\n' "$looked" | grep -qE '"(state|luks_uuid)":"unknown"'; }

# rate KEY: what the counter has gained since $before, which was a second ago.
rate() {
  now=$(value "$1")
  was=$(line=$(printf '%s\n' "$before" | grep -F "{\"name\":\"$name\",") && value "$1")
  gained=$((${now:-0} - ${was:-0}))
  # A plugin that was started anew counts from the beginning.
  [ "$gained" -gt 0 ] || gained=0
  echo "$gained"
}

# Of the disk in $line; nothing before the server has said it.
size() {
  bytes=$(value size)
  [ "${bytes:-0}" = 0 ] || numfmt --to=iec-i --suffix=B "$bytes"
}

table() {
  before=$(look)
  sleep 1
  form='%-16s %-10s %8s %8s %12s %10s %9s %10s %10s %9s  %s\n'
  # shellcheck disable=SC2059  # a form of our own
  printf "$form" DISK STATE SINCE WAITING RETAINED SESSIONS OLDEST READ/S WRITTEN/S SIZE MOUNT
  looked=$(look)
  printf '%s\n' "$looked" | while read -r line; do
    [ -n "$line" ] || continue
    name=$(value name)
    # shellcheck disable=SC2059
    printf "$form" "$name" "$(value state)" "$(value since)" "$(value waiting)" "$(value retained)" \
      "$(value sessions)" "$(value oldest)" "$(rate read)" "$(rate written)" "$(size)" "$(value mount)"
    case $(value state) in
      # The reason is that of the last time.
      up | replaying | stopped) ;;
      *) echo "  $(value kind): $(value reason)" ;;
    esac
    [ -z "$(value given_up)" ] || echo "  given up on $(value given_up)"
  done
  all_known
}

status() {
  as=table only=''
  for word in "$@"; do
    case $word in
      --json | --metrics) as=${word#--} ;;
      -*) usage >&2 && exit 2 ;;
      *) session "$word" && only=$word ;;
    esac
  done
  all=${only:-$(names)}
  "$as"
}

# Asked by {{sleepUnit}}: while the host sleeps nobody answers the kernel's requests, and programs that wait for one keep
# the kernel from sleeping.
may_sleep() {
  for name in $(names); do
    node=$(readlink -e "{{device}}") && [ -e "/sys/block/${node##*/}/pid" ] || continue
    die "this host does not go to sleep while the disk $name is attached. systemctl stop netdisk@$name.target detaches it."
  done
}

# A word to the plugin; its answer to the user.
tell() {
  if answer=$("$helper" ask "{{control}}" "$1"); then :; else
    case $? in
      3) die "the plugin of $name does not run. systemctl start netdisk@$name.target starts it." ;;
      *) die "the plugin of $name does not answer. systemctl restart netdisk-session@$name starts another one." ;;
    esac
  fi
  echo "$answer" | sed -n 's/.*"message":"\([^"]*\)".*/\1/p'
  case $answer in '{"ok":true'*) ;; *) exit 1 ;; esac
}

verb=${1-}
case $verb in
  status | resume | fail | abort | lease | takeover | may-sleep)
    [ "$(id -u)" = 0 ] || die "only root can ask the disks. Run: sudo netdisk $*"
    ;;
esac
[ $# = 0 ] || shift
case "$verb $#" in
  "status "*) status "$@" ;;
  "resume 1" | "fail 1") session "$1" && tell "$verb" ;;
  "abort 1") session "$1" && "$session" abort "by hand" && echo "To attach it again: systemctl restart netdisk@$1.target, or pulumi up." ;;
  "lease 1") session "$1" && "$session" lease ;;
  "takeover 1") session "$1" && "$session" takeover && tell resume ;;
  "may-sleep 0") may_sleep ;;
  "--help 0" | "help 0") usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
