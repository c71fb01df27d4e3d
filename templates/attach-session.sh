#!/bin/sh
# Disk {{name}}: attaches the kernel's nbd device to the session's socket, and detaches it. Run by {{unit}};
# written by netdisk.
set -u

name={{name}}
link={{device}}
note={{note}}
socket={{socket}}
session={{session}}
# The script of the mapping above, which grows with the device.
open={{open}}
session_unit={{sessionUnit}}
helper={{helper}}
client={{client}}
block_size={{blockSize}}
queue={{queue}}
lock={{lock}}
# Bytes; a device of another size is another disk. Linux makes it of whole blocks of what the server serves.
size={{size}}
served={{served}}
# Seconds, ten years: requests wait this long for a plugin that died.
dead_timeout=315360000

{{nbdDevice}}

{{setQueue}}

{{attached}}

connected() { [ -e "/sys/block/$1/pid" ] && [ "$(cat "/sys/block/$1/size")" != 0 ]; }

take_note() { echo "$device $(cat "/sys/block/$device/pid")" >"$note" && attached; }

# The plugin holds whatever is served later against the first disk that it saw, and would refuse the right one: a new plugin
# looks anew, less and less often. It has the pause to dial.
pause=4
look_anew() {
  systemctl restart "$session_unit"
  sleep "$pause"
  pause=$((pause < 16 ? pause * 2 : 30))
}

# Tries once; leaves $device connected, or returns 1.
attach() {
  known=$("$session" value size)
  if [ -z "$known" ]; then
    say "waiting for the session's plugin"
    return 1
  fi
  if [ "$known" = 0 ]; then
    say "waiting for the server: $("$session" value reason)"
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
  # By netlink: nbd-client ends, and the kernel lets the device be connected again when the plugin has died.
  # Noted before, by the process that becomes nbd-client: whoever ends this script meanwhile leaves a note of all that is connected.
  # shellcheck disable=SC2016  # of that process
  if ! out=$(timeout 20 sh -c 'echo "$1 $$" >"$2" && shift 2 && exec "$@"' sh "$device" "$note" \
    "$client" -unix "$socket" -N "$name" "/dev/$device" -b "$block_size" </dev/null 2>&1 9>&-) || ! connected "$device"; then
    exec 9>&-
    say "nbd-client could not attach /dev/$device: $(echo "$out" | tail -n 1)"
    return 1
  fi
  exec 9>&-
  if ! take_note || ! fits "$device" || ! right_blocks "$device"; then
    "$client" -d "/dev/$device" >/dev/null
    rm -f "$note"
    look_anew
    return 1
  fi
}

start() {
  still=
  modprobe nbd
  if attached && fits "$node" && right_blocks "$node"; then
    device=$node still=1
    echo "/dev/$device is still attached"
  else
    # By ioctl, the device would die with the plugin; trying again will not help.
    if [ -x "$client" ] && ! knows_netlink; then
      echo "the session needs nbd 3.17 or newer, built with libnl; choose another client.nbd.ref, or transport: forward" >&2
      exit 3
    fi
    rm -f "$link"
    until attach; do sleep 1; done
  fi
  # Also of a device that an earlier start has attached, which may have been ended before it came to this.
  "$helper" keep "/dev/$device" "$dead_timeout" || exit 1
  # While requests wait for a server that is out of reach, nobody could end what waits for the queue.
  [ -z "$still" ] || [ "$("$session" value state)" = up ] && { set_queue "$device" || true; }
  mkdir -p "${link%/*}"
  ln -sfn "/dev/$device" "$link.new" && mv -fT "$link.new" "$link"
  say "attached as /dev/$device, $(cat "/sys/block/$device/size") sectors"
}

thaw() {
  for mapping in $frozen; do dmsetup resume "$mapping"; done
  frozen=
}

# Until then requests that the plugin before has left behind wait for the kernel's next look (io_timeout).
freeze() {
  for holder in "/sys/block/$node/holders"/*; do
    [ -e "$holder" ] || continue
    mapping=$(cat "$holder/dm/name")
    frozen="$frozen $mapping"
    if ! timeout 60 dmsetup suspend --noflush --nolockfs "$mapping"; then
      echo "$mapping still waits for the server after 60 s" >&2
      return 1
    fi
  done
}

# Below a disk that stays open: the settings of this script as it is now, of which only the size can have changed.
reload() {
  if ! attached; then
    echo "the device is not attached; run: systemctl restart {{target}}" >&2
    return 1
  fi
  "$session" grow "$served" || return 1
  # Linux changes the size once nothing is on the way, and until then lets nobody give the device a connection: with
  # something on the way to a plugin that has died it would wait for ever. So the new one has to answer, and nothing
  # comes from above.
  dd if="/dev/$node" of=/dev/null bs=4096 count=1 iflag=direct status=none || return 1
  frozen=
  trap thaw EXIT
  # Without this, dash leaves it out when a signal ends the script.
  trap 'exit 143' TERM HUP INT
  freeze && "$helper" resize "/dev/$node" "$pid" "$size" || return 1
  thaw
  fits "$node" && "$open" widen || return 1
  say "/dev/$node has grown to $(cat "/sys/block/$node/size") sectors"
}

# Whatever is above has been stopped by now. What is on its way to the server is seen safe before the device goes; by
# hand that is waited for, a shutdown gives up after a while (session.sh).
stop() {
  frozen=
  if attached; then
    device=$node
    tries=0
    while [ "$tries" -lt 15 ] && [ -n "$(ls "/sys/block/$device/holders")" ]; do
      tries=$((tries + 1))
      sleep 1
    done
    # Freezing a mapping that could not be closed flushes its file system in every mount namespace.
    for holder in "/sys/block/$device/holders"/*; do
      [ -e "$holder" ] || continue
      mapping=$(cat "$holder/dm/name")
      frozen="$frozen $mapping"
      dmsetup suspend "$mapping" &
      "$session" watch $!
      wait $! && echo "$mapping still has users: flushed; what they write from now on is lost"
    done
    tries=0
    while attached; do
      # An fsync of the device is a FLUSH to the server.
      sync "/dev/$device" &
      "$session" watch $!
      wait $!
      left=$("$session" value retained)
      [ "$left" != 0 ] || break
      tries=$((tries + 1))
      [ "$tries" != 5 ] || echo "${left:-unknown} bytes are not safe on the server yet; waiting"
      sleep 1
    done
    ! attached || "$client" -d "/dev/$device" >/dev/null
  fi
  # First of all the note, so that the plugin does not take this for a connection that Linux has ended.
  rm -f "$note" "$link"
  thaw
  "$session" dismiss
}

case "${1-}" in
  start) start ;;
  reload) reload ;;
  stop) stop ;;
  *)
    echo "usage: $0 start|reload|stop" >&2
    exit 2
    ;;
esac
