#!/bin/sh
# Disk {{name}}: opens and closes the mapping /dev/mapper/{{name}}. Run by {{unit}}; written by netdisk.
set -eu

name={{name}}
device={{device}}
header={{header}}
key={{key}}
uuid={{uuid}}
cipher={{cipher}}

# Refused: trying again will not help (RestartPreventExitStatus).
fail() {
  echo "$1" >&2
  exit 3
}

exists() { dmsetup info "$1" >/dev/null 2>&1; }

# What runs under the name: `CIPHER MAJOR:MINOR`.
runs() { dmsetup table "$1" | awk '$3 == "crypt" { print $4, $7 }'; }

# Names who keeps the mapping busy.
name_holders() {
  dm=$(basename "$(readlink -f "/dev/mapper/$1")")
  for holder in "/sys/class/block/$dm/holders"/*; do
    [ ! -e "$holder" ] || echo "$1 is held by the block device ${holder##*/}"
  done
  number=$(cat "/sys/class/block/$dm/dev")
  awk -v number="$number" -v name="$1" '$3 == number { print name " is mounted at " $5 }' /proc/self/mountinfo
}

# Closes the mapping; one that somebody still holds (a file of a dead file system) is moved out of the way and
# goes when the last one lets go.
release() {
  tries=0
  until said=$(cryptsetup close "$name" 2>&1); do
    exists "$name" || return 0
    tries=$((tries + 1))
    [ "$tries" != 1 ] || echo "$said"
    if [ "$tries" -ge 10 ]; then
      name_holders "$name"
      dead=$name-dead-$$
      echo "$name is still in use; moved to $dead until its last user ends"
      dmsetup rename "$name" "$dead"
      dmsetup remove --deferred "$dead"
      return 0
    fi
    sleep 1
  done
}

start() {
  real=$(readlink -f "$device")
  if [ ! -b "$real" ] || [ "$(blockdev --getsize64 "$real")" = 0 ]; then
    echo "$device is not attached" >&2
    exit 1
  fi
  number=$(cat "/sys/class/block/${real##*/}/dev")

  # The device is the server's word. Another container behind our name is refused; a damaged or changed header
  # does no harm, since only the client's own copy is used.
  found=$(blkid -p -o value -s UUID "$real") || [ $? = 2 ]
  if [ -z "$found" ]; then
    echo "warning: no LUKS header on $device; opening it with the client's copy, as always"
  elif [ "$found" != "$uuid" ]; then
    fail "$device is another disk: its UUID is $found, expected $uuid. Nothing was opened."
  fi
  copy=$(cryptsetup luksUUID "$header")
  [ "$copy" = "$uuid" ] || fail "$header belongs to another disk: its UUID is $copy, expected $uuid. Nothing was opened."

  if exists "$name"; then
    [ "$(runs "$name")" != "$cipher $number" ] || return 0
    echo "$name is still open over a device that is gone; closing it"
    release
  fi

  # While a dead mapping is still held, its device-mapper UUID, which contains the name, is taken.
  opened=$name
  for dead in /dev/mapper/"$name"-dead-*; do
    [ ! -e "$dead" ] || opened=$name-$$
  done
  cryptsetup open --type luks2 --header "$header" --key-file "$key" "$real" "$opened"
  if [ "$(runs "$opened")" != "$cipher $number" ]; then
    found=$(runs "$opened")
    cryptsetup close "$opened"
    fail "$name was closed again: it ran with \"$found\", expected \"$cipher $number\""
  fi
  [ "$opened" = "$name" ] || dmsetup rename "$opened" "$name"
  echo "opened over $real with $cipher"
}

case "${1-}" in
  start) start ;;
  stop) ! exists "$name" || release ;;
  *)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
