#!/bin/sh
# Disk {{name}}: opens and closes the mapping /dev/mapper/{{name}}. Run by {{unit}}; written by netdisk.
set -eu

name={{name}}
device={{device}}
header={{header}}
# A key of random bytes, or where it is sealed, that key as gpg wrote it.
key={{key}}
sealed={{sealed}}
# How much of it was the key when this was written: all of it, or only its first line, as for a disk that was made by a bare
# pipe.
reading={{reading}}
question={{question}}
uuid={{uuid}}
cipher={{cipher}}
# The session's script, where the disk has one now.
session={{session}}

{{patiently}}

{{resume}}

# Refused: trying again will not help.
fail() {
  echo "$1" >&2
  exit 3
}

# dmsetup has one status for "no such device" and for errors; the former says so. Ends the script where nobody can tell.
exists() {
  if info=$(dmsetup info "$1" 2>&1); then return 0; fi
  case $info in *"Device does not exist."*) return 1 ;; esac
  echo "whether $1 is open cannot be told: $info" >&2
  exit 1
}

# What runs under the name: `CIPHER MAJOR:MINOR`.
runs() { dmsetup table "$1" | awk '$3 == "crypt" { print $4, $7 }'; }

# Names who keeps the mapping busy.
name_holders() {
  dm=$(basename "$(readlink -f "/dev/mapper/$1")")
  for holder in "/sys/class/block/$dm/holders"/*; do
    [ ! -e "$holder" ] || echo "$1 is held by the block device ${holder##*/}"
  done
  number=$(cat "/sys/class/block/$dm/dev")
  # A process in a mount namespace of its own may have it mounted, too.
  for file in $(grep -ls "^[0-9]* [0-9]* $number " /proc/[0-9]*/mountinfo | head -n 20); do
    pid=${file#/proc/} pid=${pid%%/*}
    echo "$1 is mounted where process $pid ($(cat "/proc/$pid/comm" 2>/dev/null)) is"
  done
}

# What it writes out waits for the server: without a session for an I/O error, with one as long as the session's script says.
freeze() {
  if [ ! -x "$session" ]; then
    timeout 20 dmsetup suspend "$name"
  else
    dmsetup suspend "$name" &
    "$session" watch $!
    wait $!
  fi
}

# Writes out what the file system above still holds, in whichever mount namespace it lives, while the server is there.
flush() {
  real=$(readlink -f "$device")
  [ -e "/sys/block/${real##*/}/pid" ] || return 0
  case $(runs "$name") in
    *" $(cat "/sys/class/block/${real##*/}/dev")") ;;
    *) return 0 ;;
  esac
  if freeze; then
    echo "$name is flushed"
  else
    echo "$name could not be flushed"
  fi
  dmsetup resume "$name" || echo "$name stays suspended: dmsetup resume $name"
}

# Closes the mapping; one that somebody still holds (a file of a dead file system) is moved out of the way and
# goes when the last one lets go. Not by cryptsetup: it reads the header on the device first, which is the server's word, and
# waits for a server that is out of reach.
release() {
  tries=0
  until said=$(dmsetup remove "$name" 2>&1); do
    exists "$name" || return 0
    tries=$((tries + 1))
    [ "$tries" != 1 ] || echo "$said"
    if [ "$tries" -ge 10 ]; then
      name_holders "$name"
      flush
      dead=$name-dead-$$
      echo "$name is still in use; moved to $dead until its last user ends; what is written to it from now on may be lost"
      dmsetup rename "$name" "$dead"
      dmsetup remove --deferred "$dead"
      return 0
    fi
    sleep 1
  done
}

# The first 4 KiB of a LUKS header, as hex digits: its magic are the first 12, its UUID 80 from the 337th on.
first_block() {
  dd if="$1" bs=4096 count=1 "$2" status=none | od -An -v -tx1 | tr -d ' \n'
}

plain_key() {
  printf '%s\n' "$passphrase" |
    gpg --homedir "$home" --no-autostart --batch --quiet --no-tty --no-symkey-cache --pinentry-mode loopback \
      --passphrase-fd 0 --decrypt "$key"
}

whole_key() { if [ "$sealed" = no ]; then cat "$key"; else plain_key; fi; }

# Asks until the passphrase opens the key: whoever answers for systemd, an operator at a terminal or Pulumi.
# Passphrase and key are only ever in memory and in pipes.
ask_passphrase() {
  home=
  trap '[ -z "$home" ] || rm -rf "$home"' EXIT
  trap 'exit 143' TERM HUP INT
  home=$(mktemp -d {{gnupgHome}})
  while :; do
    passphrase=$(systemd-ask-password --id="$question" --timeout=0 "Passphrase of the disk $name:")
    if plain_key >/dev/null; then return 0; fi
    echo "$key does not open with this passphrase"
    sleep 1
  done
}

# Sets $real and $number of the device $1, which is this disk, and $headless where its header does not say so: it may be damaged,
# or another device. What is opened by the client's copy shows by its file system which.
look_at() {
  headless=
  real=$(readlink -f "$1")
  if [ ! -b "$real" ] || [ "$(blockdev --getsize64 "$real")" = 0 ]; then
    echo "$1 is not attached" >&2
    exit 1
  fi
  number=$(cat "/sys/class/block/${real##*/}/dev")

  copy=$(cryptsetup luksUUID "$header") || exit 1
  [ "$copy" = "$uuid" ] || fail "$header belongs to another disk: its UUID is $copy, expected $uuid. Nothing was opened."
  # The device is the server's word, compared byte for byte and never parsed. Another container behind our name is
  # refused; a damaged or changed header does no harm, since only the client's own copy is used.
  found=$(first_block "$real" iflag=direct)
  copy=$(first_block "$header" iflag=fullblock)
  if [ ${#found} != 8192 ] || [ ${#copy} != 8192 ]; then
    echo "$1 or $header cannot be read" >&2
    exit 1
  fi
  if [ "$(echo "$found" | cut -c -12)" != "$(echo "$copy" | cut -c -12)" ]; then
    headless=yes
    echo "warning: no LUKS header on $1; opening it with the client's copy, as always"
  elif [ "$(echo "$found" | cut -c 337-416)" != "$(echo "$copy" | cut -c 337-416)" ]; then
    fail "$1 is another disk: its header's UUID is not $uuid. Nothing was opened."
  fi
}

# by_reading READING ACTION ARGUMENT...: cryptsetup with the key, of which so much is read.
by_reading() {
  much=$1 action=$2
  shift 2
  if [ "$much" = "first line" ]; then
    whole_key | cryptsetup "$action" "$@"
  elif [ "$sealed" = no ]; then
    cryptsetup "$action" --key-file "$key" "$@"
  else
    # Unlike a bare pipe, `-` does not end at the first line break.
    plain_key | cryptsetup "$action" --key-file - "$@"
  fi
}

# with_key ACTION ARGUMENT...: the same, read in the way that opens the disk. A run that changed the key, or brought an older
# one back, may have ended before it wrote that here.
with_key() {
  if by_reading "$reading" "$@"; then return 0; else status=$?; fi
  # The key opens no key slot.
  [ "$status" = 2 ] || return "$status"
  other=whole
  [ "$reading" != whole ] || other="first line"
  echo "$key, read as \"$reading\", does not open $name; reading it as \"$other\""
  by_reading "$other" "$@"
}

# open_as NAME [OPTION...]: opens $real under a name, with the client's own header.
open_as() {
  opened=$1
  shift
  # One after the other: at a boot, all disks of a small client would take their memory at once.
  set -- --type luks --serialize-memory-hard-pbkdf {{options}} --header "$header" "$@"
  # cryptsetup has a status 3 of its own, for too little memory: that passes.
  with_key open "$@" "$real" "$opened" || exit 1
  if [ "$(runs "$opened")" != "$cipher $number" ]; then
    found=$(runs "$opened")
    dmsetup remove --retry "$opened"
    fail "$opened was closed again: it ran with \"$found\", expected \"$cipher $number\""
  fi
}

# While the server is out of reach, what waits to be written to the disk must not take all of the memory that the client's
# other disks are written through: half of it at most, counted by itself, and a tenth for certain. Linux has this from 6.2 on.
bound_writeback() {
  bdi=/sys/class/bdi/$(dmsetup info -c --noheadings --separator : -o major,minor "$name")
  [ -e "$bdi/strict_limit" ] || return 0
  { echo 1 >"$bdi/strict_limit" && echo 50 >"$bdi/max_ratio" && echo 10 >"$bdi/min_ratio"; } ||
    echo "what waits to be written to $name is not bounded"
}

start() {
  look_at "$device"
  if exists "$name"; then
    if [ "$(runs "$name")" = "$cipher $number" ]; then
      resume || exit 1
      return 0
    fi
    echo "$name is still open over a device that is gone; closing it"
    release
  fi

  [ "$sealed" = no ] || ask_passphrase

  # While a dead mapping is still held, its device-mapper UUID, which contains the name, is taken.
  as=$name
  for dead in /dev/mapper/"$name"-dead-*; do
    [ ! -e "$dead" ] || as=$name-$$
  done
  # Of a try before.
  [ "$as" = "$name" ] || ! exists "$as" || dmsetup remove --retry "$as"
  open_as "$as"
  [ "$as" = "$name" ] || dmsetup rename "$as" "$name"
  bound_writeback
  echo "opened over $real with $cipher"
}

# For what an open disk, $1, is only done with its key.
need_key() {
  if [ "$sealed" != no ]; then
    echo "the key of $name is sealed, and nobody is here to open it: an open disk is not $1; run: systemctl restart netdisk@$name.target" >&2
    exit 1
  fi
  # The layer that brings the key back comes after the connection.
  if [ ! -e "$key" ]; then
    echo "$key is gone, and without it an open disk is not $1; run: systemctl restart netdisk@$name.target, and then pulumi up again, which puts the key back" >&2
    exit 1
  fi
}

# Some kernels forget it with the table.
hand_on_read_ahead() {
  cat "/sys/class/block/${real##*/}/queue/read_ahead_kb" >"/sys/class/block/$(basename "$(readlink -f "/dev/mapper/$name")")/queue/read_ahead_kb" ||
    echo "the read-ahead of $name is not that of $real"
}

# The device has grown: so does the open mapping.
widen() {
  exists "$name" || return 0
  need_key "made larger"
  look_at "$device"
  with_key resize --header "$header" "$name" || exit 1
  hand_on_read_ahead
}

# Whether $1 begins as the open disk does. A write between the two looks may have changed that, and is followed by another try.
begins_alike() {
  tries=0
  until now=$(first_block "/dev/mapper/$name" iflag=direct) && [ ${#now} = 8192 ] &&
    [ "$(first_block "/dev/mapper/$1" iflag=direct)" = "$now" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 4 ] || return 1
    sleep 0.5
  done
}

# Leads the open mapping over to another connection of the same disk, $1, without closing it. Its table is taken from
# a second mapping, which is closed again; the kernel writes out what is under way and exchanges the tables in one step,
# during which users wait.
move() {
  exists "$name" || return 0
  need_key "led over to another connection"
  look_at "$1"
  next=$name-next
  ! exists "$next" || dmsetup remove --retry "$next"
  # The key goes from table to table through a pipe: from the kernel's key ring another program could not have it.
  open_as "$next" --readonly --disable-keyring
  if [ -n "$headless" ] && ! begins_alike "$next"; then
    dmsetup remove --retry "$next"
    fail "$1 has no LUKS header, and behind it lies something else than $name shows: it is another device. $name stays as it is. Put the disk's own backing back"
  fi
  dmsetup table --showkeys "$next" | dmsetup load "$name" && moved=1 || moved=
  dmsetup remove --retry "$next" || moved=
  if [ -z "$moved" ]; then
    # Whoever resumes the mapping some day would put the new table in.
    dmsetup clear "$name"
    exit 1
  fi
  if ! dmsetup resume "$name"; then
    dmsetup clear "$name"
    dmsetup resume "$name"
    exit 1
  fi
  hand_on_read_ahead
  echo "led over to $real"
}

# After a start that a stop has ended. A mapping that the server answered after all is no longer wanted.
left() {
  if [ -x "$session" ] && "$session" left && exists "$name"; then release; fi
}

case "${1-}" in
  start) patiently start ;;
  move) move "$2" ;;
  widen) widen ;;
  stop) ! exists "$name" || release ;;
  left) left ;;
  *)
    echo "usage: $0 start|stop|left|move DEVICE|widen" >&2
    exit 2
    ;;
esac
