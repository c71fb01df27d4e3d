# shellcheck shell=bash
# Starting, recognising and ending processes. Nothing is ever killed by its name: a process is ours if its pid file
# holds its pid and start time, if it lives in our network namespace, or if it carries our mark in its environment.

# state and start time of a pid, from /proc/PID/stat (the command name may hold blanks and brackets)
process_stat() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }"
  printf '%s %s' "${fields[0]}" "${fields[19]}"
}

# The lock, and pipes of whoever called us: a guest that kept them open would make the caller wait for ever.
close_inherited() {
  local fd
  for fd in /proc/"$BASHPID"/fd/*; do
    fd=${fd##*/}
    ((fd <= 2)) || exec {fd}>&-
  done
}

# start_process NAME COMMAND...: in a session of its own, so that it outlives this shell and can be ended as a whole.
start_process() {
  local name=$1 pid stat
  shift
  mkdir -p "$STATE/log"
  (
    close_inherited
    NETDISK_LAB_RUN=$RUN exec setsid "$@"
  ) </dev/null >>"$STATE/log/$name.log" 2>&1 &
  pid=$!
  stat=$(process_stat "$pid") || die "$1 ended at once" "Read $STATE/log/$name.log."
  printf '%s %s\n' "$pid" "${stat#* }" >"$RUN/$name.pid"
}

# alive NAME: the very process that we started still runs. A zombie counts as gone: pid 1 may reap late.
alive() {
  local pid started stat
  [[ -f $RUN/$1.pid ]] && read -r pid started <"$RUN/$1.pid" || return 1
  stat=$(process_stat "$pid") || return 1
  [[ ${stat% *} != Z && ${stat#* } == "$started" ]]
}

pid_of() { local pid _; read -r pid _ <"$RUN/$1.pid" && printf '%s' "$pid"; }

# session_members SID: pids that still run in the session
session_members() {
  local pid stat
  for pid in $(pgrep -s "$1" || true); do
    stat=$(process_stat "$pid") && [[ ${stat% *} != Z ]] && printf '%s\n' "$pid"
  done
  return 0
}

# end_process NAME: kills the process and its whole session at once, and waits until all of it is gone.
end_process() {
  local name=$1 pid
  if alive "$name"; then
    pid=$(pid_of "$name")
    # the session as a whole: a guest has a host process for each of its own processes, and may be forking right now
    while [[ -n $(session_members "$pid") ]]; do
      pkill -KILL -s "$pid" || true
      sleep 0.02
    done
  fi
  rm -f "$RUN/$name.pid"
}

# marked_pids RUN-DIRECTORY: processes that carry this mark in their environment
marked_pids() {
  local file
  for file in $(grep -lszx "NETDISK_LAB_RUN=$1" /proc/[0-9]*/environ 2>/dev/null || true); do
    file=${file#/proc/}
    printf '%s\n' "${file%/environ}"
  done
}

# sweep NAMESPACE RUN-DIRECTORY: ends what is left of a lab, also when its pid files are lost.
sweep() {
  local namespace=$1 run=$2 pids tries
  for ((tries = 0; tries < 100; tries++)); do
    pids=$({ ip netns pids "$namespace" 2>/dev/null || true; marked_pids "$run"; } | sort -un | while read -r pid; do
      stat=$(process_stat "$pid") && [[ ${stat% *} != Z ]] && echo "$pid"; done || true)
    [[ -n $pids ]] || return 0
    # shellcheck disable=SC2086  # one word per pid
    kill -KILL $pids 2>/dev/null || true
    sleep 0.05
  done
  die "processes of the lab survive SIGKILL: $(tr '\n' ' ' <<<"$pids")" "Look at them with ps; a process in state D waits for this machine's disk."
}
