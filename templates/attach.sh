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
read_ahead={{readAhead}}
lock={{lock}}
# Bytes; a device of another size is another disk.
size={{size}}
# What the server's export is known to be like; kept in nbd-client's environment for as long as it runs.
revision={{revision}}

said=
# One line in the journal per change of state, however long an outage lasts.
say() {
  [ "$1" = "$said" ] || echo "$1"
  said=$1
}

# Prints the first nbd device that nobody uses. A dead one that is still held keeps its size, and is not free.
free_device() {
  for dir in /sys/block/nbd*; do
    if [ -e "$dir/size" ] && [ ! -e "$dir/pid" ] && [ "$(cat "$dir/size")" = 0 ]; then
      basename "$dir"
      return
    fi
  done
  return 1
}

# True once the kernel has the connection of our nbd-client on device $1.
connected() {
  [ -e "/sys/block/$1/pid" ] && [ "$(cat "/sys/block/$1/pid")" = "$child" ] && [ "$(cat "/sys/block/$1/size")" != 0 ]
}

# Says why the device that is connected must not be used, or returns 0.
fits() {
  bytes=$(($(cat "/sys/block/$1/size") * 512))
  if [ "$(cat "/sys/block/$1/queue/write_cache")" != "write back" ]; then
    say "refused: the server's export $name does not announce flush, so that an fsync would mean nothing; waiting for one that does"
    return 1
  fi
  if [ "$bytes" != "$size" ]; then
    say "refused: the server's export $name has $bytes bytes, expected $size: another disk; waiting for the right one"
    return 1
  fi
}

# Tries once; leaves nbd-client running as $child on $device, or returns 1.
attach() {
  if [ ! -S "$socket" ]; then
    say "waiting for the tunnel"
    return 1
  fi
  mkdir -p "${lock%/*}"
  exec 9>"$lock"
  flock 9
  if ! device=$(free_device); then
    exec 9>&-
    say "no free nbd device: all of /sys/block/nbd* are in use, or the module is not loaded"
    return 1
  fi
  NETDISK_REVISION=$revision "$client" -unix "$socket" -N "$name" "/dev/$device" -nonetlink -nofork -b "$block_size" -timeout "$timeout" 9>&- &
  child=$!
  tries=0
  until connected "$device"; do
    tries=$((tries + 1))
    # Whoever accepts and then says nothing must not keep us waiting: 20 s.
    [ "$tries" -lt 200 ] || kill -KILL "$child" 2>/dev/null
    if ! kill -0 "$child" 2>/dev/null; then
      wait "$child"
      exec 9>&-
      say "waiting for the server: nbd-client found no export $name behind the tunnel"
      return 1
    fi
    sleep 0.1
  done
  exec 9>&-
  if ! fits "$device"; then
    "$client" -d "/dev/$device" -nonetlink >/dev/null
    wait "$child"
    # Not to knock at the server all the time.
    sleep 4
    return 1
  fi
}

start() {
  modprobe nbd
  until attach; do sleep 1; done
  if [ "$(cat "/sys/block/$device/queue/logical_block_size")" != "$block_size" ]; then
    echo "/dev/$device has another block size than $block_size" >&2
    exit 1
  fi
  echo "$read_ahead" >"/sys/block/$device/queue/read_ahead_kb"
  mkdir -p "${link%/*}"
  ln -sfn "/dev/$device" "$link.new" && mv -fT "$link.new" "$link"
  say "attached as /dev/$device, $(cat "/sys/block/$device/size") sectors"
  systemd-notify --ready --status="attached as /dev/$device"
  wait "$child"
  status=$?
  # stop() has taken the link away.
  [ -L "$link" ] || exit 0
  say "the connection of /dev/$device ended: nbd-client exited with $status"
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
  if [ -e "/sys/block/$device/pid" ]; then
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
  "$client" -d "/dev/$device" -nonetlink
  status=$?
  for mapping in $frozen; do dmsetup resume "$mapping"; done
  return "$status"
}

case "${1-}" in
  start) start ;;
  stop) [ ! -L "$link" ] || stop ;;
  clean) rm -f "$link" ;;
  *)
    echo "usage: $0 start|stop|clean" >&2
    exit 2
    ;;
esac
