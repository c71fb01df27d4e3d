#!/bin/sh
# Disk {{name}}: holds the kernel's nbd device for as long as the connection lives.
# Run by {{unit}}; written by netdisk.
set -u

name={{name}}
link={{device}}
socket={{socket}}
client={{client}}
block_size={{blockSize}}
timeout={{timeout}}
queue={{queue}}
lock={{lock}}
# Bytes; a device of another size is another disk.
size={{size}}
# What the server's export is known to be like; kept in nbd-client's environment for as long as it runs.
revision={{revision}}
# The script of the mapping above, which follows to another connection.
open={{open}}
# How the last move ended: `done`, or why it did not.
answer={{answer}}

{{nbdDevice}}

{{setQueue}}

nonetlink=
if knows_netlink; then nonetlink=-nonetlink; fi

# True when nbd-client of this very unit holds device $1; $holder is its process.
held() {
  holder=$(cat "/sys/block/$1/pid" 2>/dev/null) && [ "$(cat "/proc/$holder/cgroup")" = "$(cat /proc/self/cgroup)" ]
}

# True once the kernel has the connection.
connected() {
  held "$1" && [ "$(cat "/sys/block/$1/size")" != 0 ]
}

# Tries once; leaves the connection on $device and a $child that ends with it, or returns 1.
attach() {
  if [ ! -S "$socket" ]; then
    say "waiting for the tunnel"
    return 1
  fi
  install -d -m 700 "${lock%/*}"
  exec 9>"$lock"
  flock 9
  if ! device=$(free_device); then
    exec 9>&-
    say "$(no_device)"
    return 1
  fi
  NETDISK_REVISION=$revision "$client" -unix "$socket" -N "$name" "/dev/$device" $nonetlink -nofork -b "$block_size" -timeout "$timeout" 9>&- &
  child=$!
  daemon=
  tries=0
  until connected "$device"; do
    tries=$((tries + 1))
    if [ -z "$daemon" ] && ! kill -0 "$child" 2>/dev/null; then
      # From 3.27.1 on it becomes a daemon, whatever it is told, as soon as it has the connection.
      if wait "$child"; then daemon=yes tries=150; else tries=200; fi
    fi
    # Whoever accepts and then says nothing must not keep us waiting: 20 s.
    if [ "$tries" -ge 200 ]; then
      if [ -z "$daemon" ]; then
        kill -KILL "$child" 2>/dev/null
        wait "$child"
      elif held "$device"; then
        "$client" -d "/dev/$device" $nonetlink >/dev/null
      fi
      exec 9>&-
      say "waiting for the server: nbd-client found no export $name behind the tunnel"
      return 1
    fi
    sleep 0.1
  done
  if [ "$holder" != "$child" ]; then
    # The daemon is nobody's child; this one ends with it.
    tail --sleep-interval=0.2 --pid="$holder" -f /dev/null 9>&- &
    child=$!
  fi
  exec 9>&-
  if ! fits "$device"; then
    disconnect "$device" "$child"
    # Not to knock at the server all the time.
    sleep 4
    return 1
  fi
  set_queue "$device" || true
}

publish() {
  mkdir -p "${link%/*}"
  ln -sfn "/dev/$device" "$link.new" && mv -fT "$link.new" "$link"
  say "attached as /dev/$device, $(cat "/sys/block/$device/size") sectors"
  systemd-notify --ready --status="attached as /dev/$device"
}

start() {
  moving=
  trap 'moving=1' USR1
  modprobe nbd
  until attach; do sleep 1; done
  right_blocks "$device" || exit 1
  publish
  while :; do
    # Asked again until there is an answer, because the signal may come right before the wait.
    if [ -n "$moving" ]; then
      moving=
      [ -e "$answer" ] || move
    fi
    wait "$child"
    status=$?
    [ -n "$moving" ] || break
  done
  # stop() has taken the link away.
  [ -L "$link" ] || exit 0
  say "the connection of /dev/$device ended: nbd-client exited with $status"
  exit 1
}

disconnect() {
  "$client" -d "/dev/$1" $nonetlink >/dev/null
  wait "$2"
}

# Names what lies on the device $1 besides our mapping.
others() {
  for holder in "/sys/block/$1/holders"/*; do
    [ ! -e "$holder" ] || [ "$(cat "$holder/dm/name")" = "$name" ] || echo "${holder##*/}"
  done
}

# Leads the mapping over to the device $1, where it lies on ours.
follow() {
  [ -n "$(ls "/sys/block/$old/holders")" ] || return 0
  found=$(others "$old")
  if [ -n "$found" ]; then
    echo "/dev/$old is held by $found"
    return 1
  fi
  "$open" move "/dev/$1"
}

# Makes another connection beside the one that is there, under the settings of the script as it is now; the mapping
# goes over to it while it is in use, and the old connection ends. Where that fails, all stays as it was.
move() {
  old=$device old_child=$child
  # shellcheck source=/dev/null
  reading=1 && . "$0"
  if attach; then
    if right_blocks "$device" && follow "$device"; then
      publish
      disconnect "$old" "$old_child"
      end=done
    else
      disconnect "$device" "$child"
      end="/dev/$device could not take the place of /dev/$old"
    fi
  else
    end=$said
  fi
  if [ "$end" != done ]; then device=$old child=$old_child; fi
  echo "$end" >"$answer.new" && mv -f "$answer.new" "$answer"
}

# Has the running start() make a move, and waits for its end.
reload() {
  # Who does not catch the signal would be ended by it.
  caught=$(awk '$1 == "SigCgt:" { print $2 }' "/proc/$MAINPID/status") || exit 1
  if [ $((0x$caught & 0x200)) = 0 ]; then
    echo "the device was attached by another version of this script; run: systemctl restart {{target}}" >&2
    exit 1
  fi
  rm -f "$answer"
  tries=0
  until [ -e "$answer" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 90 ]; then
      echo "no other connection after 90 s" >&2
      exit 1
    fi
    kill -USR1 "$MAINPID" || exit 1
    sleep 1
  done
  [ "$(cat "$answer")" = done ] && return
  cat "$answer" >&2
  exit 1
}

# Whatever is above has been stopped by now. If it could not let go, what it still writes gets some time; then each
# mapping that is left is frozen, which flushes its file system in every mount namespace, while the device goes.
stop() {
  device=$(basename "$(readlink "$link")")
  tries=0
  while [ "$tries" -lt 15 ] && [ -n "$(ls "/sys/block/$device/holders")" ]; do
    tries=$((tries + 1))
    sleep 1
  done
  frozen=
  # Once its connection has ended, the device may be another disk's.
  if held "$device"; then
    for holder in "/sys/block/$device/holders"/*; do
      [ -e "$holder" ] || continue
      mapping=$(cat "$holder/dm/name")
      frozen="$frozen $mapping"
      if timeout 20 dmsetup suspend "$mapping"; then
        echo "$mapping still has users: flushed; what they write from now on is lost"
      else
        echo "$mapping still has users, and could not be flushed: what was not synced is lost"
      fi
    done
  fi
  rm -f "$link"
  ! held "$device" || "$client" -d "/dev/$device" $nonetlink
  status=$?
  for mapping in $frozen; do dmsetup resume "$mapping"; done
  return "$status"
}

# What start() reads again are the settings and functions above.
[ -z "${reading-}" ] || return 0

case "${1-}" in
  start) start ;;
  reload) reload ;;
  stop) [ ! -L "$link" ] || stop ;;
  clean) rm -f "$link" ;;
  *)
    echo "usage: $0 start|reload|stop|clean" >&2
    exit 2
    ;;
esac
