#!/bin/sh
# Disk {{name}}: mounts and unmounts its file system. Run by {{unit}}; written by netdisk.
set -eu

name={{name}}
device={{device}}
path={{path}}
type={{type}}
options={{options}}
# The same as the kernel lists them, without those that it never does.
listed={{listed}}
# What it must not list.
unlisted={{unlisted}}
uuid={{uuid}}
attach={{attach}}
# The session's script, where the disk has one.
session={{session}}

{{patiently}}

{{resume}}

# Refused: trying again will not help.
fail() {
  echo "$1" >&2
  exit 3
}

# `MAJOR:MINOR SOURCE` of what is mounted at the path (the topmost), empty when nothing is. From the kernel's list,
# which can be read when the disk is dead; it writes a space as \040.
mounted() {
  P=$path awk '{ gsub(/\\040/, " ", $5) }
    $5 == ENVIRON["P"] { for (i = 7; $i != "-"; i++); found = $3 " " $(i + 2) }
    END { print found }' /proc/self/mountinfo
}

number() { cat "/sys/class/block/$(basename "$(readlink -f "$device")")/dev"; }

# Names the processes that keep a file, a directory or a program there. Some end while we look.
name_holders() {
  find /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/ -maxdepth 1 \
    \( -lname "$path" -o -lname "$path/*" \) -printf '%p\n' 2>/dev/null | cut -d / -f 3 | sort -u |
    while read -r pid; do
      echo "$path is in use by process $pid ($(cat "/proc/$pid/comm" 2>/dev/null))"
    done
}

# Keeps everybody from writing below the disk while it is not mounted. Only where nothing is mounted: the flag belongs
# to the bare directory.
guard_bare() {
  entries=$(find "$path" -mindepth 1 -maxdepth 1 | wc -l) || exit 1
  if [ "$entries" != 0 ]; then
    echo "$entries entries of the client's own disk are hidden below $path while the disk is mounted"
  elif ! said=$(chattr +i "$path" 2>&1); then
    echo "the bare $path stays writable while nothing is mounted there: $said"
  fi
}

start() {
  [ -b "$device" ] || { echo "$device is not open" >&2; exit 1; }
  if found=$(blkid -p -o value -s UUID "$device"); then :; else
    # blkid has one status for "nothing known" and for a device that cannot be read; only the former is final.
    [ $? = 2 ] || exit 1
    dd if="$device" of=/dev/null bs=64K count=1 iflag=direct status=none || exit 1
  fi
  [ "$found" = "$uuid" ] || fail "$device holds another file system: its UUID is ${found:-missing}, expected $uuid. Nothing was mounted."
  now=$(mounted)
  case $now in
    "") ;;
    "$(number) $device") return 0 ;;
    *" $device")
      echo "detaching what is left of the mount of a dead device"
      umount -l "$path"
      ;;
    *) fail "$path has something else mounted on it: ${now#* }. Unmount that first." ;;
  esac
  mkdir -p "$path" || exit 1
  [ -n "$(mounted)" ] || guard_bare
  with=$options
  # XFS refuses a second mount of one UUID while the dead one is still held. The device below the dead one can
  # never come back, so the refusal may be overruled then, and only then.
  for dead in /dev/mapper/"$name"-dead-*; do
    if [ "$type" = xfs ] && [ -e "$dead" ]; then with=$options,nouuid; fi
  done
  mount -t "$type" -o "$with" "$device" "$path" || exit 1
}

# Every option that can change on a mounted file system goes back to its default unless it is wished.
reload() {
  mount -o "remount,rw,exec,suid,dev,async,relatime,diratime,nolazytime,$options" "$device" "$path"
  # The kernel is silent about options that it can set only when it mounts.
  now=,$(findmnt -n -o OPTIONS --mountpoint "$path"),
  for option in $(echo "$listed" | tr , ' '); do
    case $now in
      *",$option,"*) ;;
      *) fail "$option takes effect at the next mount only. Run: systemctl restart {{unit}}" ;;
    esac
  done
  for option in $(echo "$unlisted" | tr , ' '); do
    case $now in
      *",$option,"*) fail "$option stays in effect until the next mount. Run: systemctl restart {{unit}}" ;;
    esac
  done
}

# Until the disk is no longer mounted at the path.
take_down() {
  resume || true
  tries=0
  while now=$(mounted) && [ -n "$now" ]; do
    [ "${now#* }" = "$device" ] || fail "$path has something else mounted on it: ${now#* }; left alone"
    if said=$(umount "$path" 2>&1); then return; fi
    tries=$((tries + 1))
    if [ "$tries" = 1 ]; then
      echo "$said"
      name_holders
    fi
    # A dead disk has nothing to wait for.
    limit=30
    systemctl --quiet is-active "$attach" || limit=5
    if [ "$tries" -ge "$limit" ]; then
      name_holders
      echo "$path is still in use; it is detached, and what these processes write from now on may be lost"
      timeout 20 sync -f "$path" || echo "sync failed: the disk is dead"
      umount -l "$path"
      return 0
    fi
    sleep 1
  done
}

# With a session nothing fails while the server is out of reach. Then umount and sync wait, and so does each process that
# writes and thereby keeps the mount busy: a shutdown must wait for none of them.
stop() {
  if [ -z "$session" ]; then
    take_down
    return
  fi
  take_down &
  "$session" watch $! || true
  wait $!
  # Even a disk that was given up unmounts well.
  "$session" unharmed
}

# After a start that a stop has ended. A mount that the server answered after all is no longer wanted.
left() {
  if [ -n "$session" ] && "$session" left; then
    case $(mounted) in *" $device") stop ;; esac
  fi
}

case "${1-}" in
  start) patiently start ;;
  reload) reload ;;
  stop) stop ;;
  left) left ;;
  # Of the file system that belongs there; to look for it on the disk could mean to wait.
  uuid) echo "$uuid" ;;
  *)
    echo "usage: $0 start|reload|stop|left|uuid" >&2
    exit 2
    ;;
esac
