#!/bin/sh
# Written by netdisk; run by nbd-server.service around each start and stop.
set -eu

record={{record}}
since={{since}}
config={{config}}
exports={{includeDir}}
cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)

ours() { grep -qx "$1" "$cgroup/cgroup.procs"; }

listeners() { ss -Hltnp | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u; }

# A connection that never finished its handshake keeps the former main process's port: it would be in the way.
free_port() {
  for pid in $(listeners); do
    if ours "$pid"; then kill -KILL "$pid"; fi
  done
}

# What nbd-server is about to read, and since which start each export has had the text it has now, so that a look at the host can tell whether it runs with what is there now.
prepare() {
  free_port
  mkdir -p "${record%/*}"
  {
    echo "invocation $INVOCATION_ID"
    sha256sum "$config" "$exports"/*.conf
  } >"$record.new"
  mv -f "$record.new" "$record"
  mkdir -p "${since%/*}"
  [ -e "$since" ] || : >"$since"
  sha256sum "$exports"/*.conf | while read -r line; do
    start=$(L=$line awk 'substr($0, 34) == ENVIRON["L"] { print $1 }' "$since")
    echo "${start:-$INVOCATION_ID} $line"
  done >"$since.new"
  mv -f "$since.new" "$since"
}

# Started means: it listens. A main process that could not ends, and systemd says so.
await() {
  tries=0
  until ss -Hltnp | grep -q "pid=$MAINPID,"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then
      echo "nbd-server does not listen after 20 s" >&2
      exit 1
    fi
    sleep 0.2
  done
}

# At shutdown the sessions end before what they write to is unmounted.
finish() {
  [ "$(systemctl is-system-running || true)" = stopping ] || return 0
  tries=0
  while [ "$tries" -lt 50 ]; do
    left=
    for pid in $(cat "$cgroup/cgroup.procs"); do
      if [ "$pid" != $$ ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = nbd-server ]; then
        left=1
        kill -TERM "$pid" || true
      fi
    done
    [ -n "$left" ] || return 0
    tries=$((tries + 1))
    sleep 0.1
  done
}

case "${1-}" in
  prepare | await | finish) "$1" ;;
  *)
    echo "usage: $0 prepare|await|finish" >&2
    exit 2
    ;;
esac
