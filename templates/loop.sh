#!/bin/sh
# Written by netdisk; run by {{unit}}.
# The loop device of the disk {{name}} is found by its file. What this script set up is noted until the next boot.
set -u

name={{name}}
file={{file}}
link={{device}}
note={{note}}
made={{made}}

fail() {
  echo "$name: $2" >&2
  exit "$1"
}

{{sameFile}}

# By inode: another path to the same file does not hide it.
behind() { losetup --noheadings --output NAME --associated "$file"; }

ours() { [ "$1" = "$(cat "$note" 2>/dev/null)" ]; }

direct() { [ "$(cat "/sys/class/block/${1##*/}/loop/dio")" = 1 ]; }

# Noted before it is set up: a device of ours is never taken for somebody else's.
set_up() {
  tries=0
  while :; do
    loop=$(losetup --find) || return 1
    echo "$loop" >"$note" || return 1
    if losetup --direct-io=on --sector-size "$1" "$loop" "$file"; then return 0; fi
    # Somebody may have taken this one meanwhile.
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || return 1
  done
}

start() {
  [ -f "$file" ] || fail 1 "there is no file $file; its file system may not be mounted"
  own_file "$(stat -c '%i %W' -- "$file")" || fail 1 "another file than the disk's lies at $file: $which. Its file system may not be mounted; if this file is meant, pulumi up says what to do"
  mkdir -p "${note%/*}"
  found=
  devices=$(behind) || fail 1 "cannot list the loop devices"
  for device in $devices; do
    ours "$device" || fail 3 "$file is already behind $device, which netdisk did not set up; see who uses it, then detach it: losetup --detach $device"
    found=$device
  done
  # Direct I/O needs sectors as large as those of the disk below.
  for sector in 512 4096; do
    [ -z "$found" ] || break
    set_up "$sector" || fail 1 "losetup has failed"
    if direct "$loop"; then found=$loop; else losetup --detach "$loop"; fi
  done
  [ -n "$found" ] || fail 3 "the file system of $file knows no direct I/O; serve the file without a loop device, or keep it elsewhere"
  udevadm trigger --settle --action=change "/sys/class/block/${found##*/}" || fail 1 "udevadm has failed"
  [ "$(readlink -f "$link")" = "$found" ] || fail 1 "udev did not make $link"
}

# What was set up and is still there, also when the file has been removed meanwhile, or is not seen: another file system may be
# mounted over it. Nothing where nothing is; fails where nobody can tell.
own() {
  devices=$(behind) || return 1
  for device in $devices; do
    if ours "$device"; then
      echo "$device"
      return 0
    fi
  done
  device=$(cat "$note" 2>/dev/null) || return 0
  case $(cat "/sys/class/block/${device##*/}/loop/backing_file" 2>/dev/null) in
    "$file" | "$file (deleted)") echo "$device" ;;
  esac
}

# A session of nbd-server that is about to end may still hold it.
stop() {
  tries=0
  while device=$(own) || fail 1 "cannot list the loop devices"; [ -n "$device" ]; do
    [ "$tries" -lt 50 ] || fail 1 "$device is still in use; it is detached as soon as that ends"
    [ "$tries" -gt 0 ] || losetup --detach "$device"
    tries=$((tries + 1))
    sleep 0.2
  done
  rm -f "$note"
}

case "${1-}" in
  start | stop) "$1" ;;
  *)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
