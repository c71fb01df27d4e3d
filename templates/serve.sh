#!/bin/sh
# Disk {{name}}: one session with a client. Run by {{unit}}; stdin is the connection. Written by netdisk.
# First the lease, then the end of the session before, proven, then nbd-server for this disk alone.
set -u

name={{name}}
config={{config}}
lease={{lease}}
lock={{lock}}
# What is served, and the account that nbd-server changes to.
backing={{backing}}
user={{user}}
read_only={{readOnly}}
# The note of the backing, where that is a file.
made={{made}}
newline="
"

# For the client, which shows the last line, and for the journal.
say() {
  echo "$1" >&0
  echo "$1" >&2
}

refuse() {
  say "refused: $1"
  exit 1
}

# With what the step that failed has said.
unwritten() {
  refuse "the lease cannot be written on the server: ${said##*"$newline"}. Make ${lease%/*} writable there, with room for it; then on $host: netdisk $again $name"
}

# Also what an earlier session wrote, which may have ended before this.
keep_lease() { said=$(sync "$lease" "${lease%/*}" 2>&1) || unwritten; }

# Who may write, and which attachments never may again, none of them forgotten: all of it, or what there was stays, and nobody
# is served.
write_lease() {
  said=$({
    rm -f "$lease.new" &&
      printf '%s\n' "$1$void" | cat >"$lease.new" &&
      printf '%s\n' "$1$void" | cmp - "$lease.new" &&
      sync "$lease.new" &&
      mv -fT "$lease.new" "$lease"
  } 2>&1) || unwritten
  keep_lease
}

# All sessions of this disk are siblings in one cgroup. True once each but ours is seen to have no process left.
alone() {
  for other in "$slice"/*/; do
    [ "$other" != "$own/" ] || continue
    echo 1 >"$other/cgroup.kill" 2>/dev/null
    if [ -d "$other" ] && ! grep -qs '^populated 0' "$other/cgroup.events"; then
      left=$(head -n 1 "$other/cgroup.procs" 2>/dev/null)
      return 1
    fi
  done
}

fence() {
  tries=0
  until alone; do
    tries=$((tries + 1))
    [ $((tries % 100)) != 20 ] || say "waiting: the session before this one has not ended yet (process ${left:-?})"
    [ "$tries" -lt 500 ] || refuse "the session before this one cannot be ended: process ${left:-?} is in state $(sed -n 's/^State:[[:space:]]*//p' "/proc/$left/status" 2>/dev/null). State D: the disk below the file hangs (dmesg on the server says so); it goes on by itself once that ends, or reboot the server"
    sleep 0.05
  done
}

# We may have fewer rights to it than nbd-server will.
as_user() { LC_ALL=C setpriv --reuid "$user" --regid "$user" --clear-groups "$@" 2>&1 </dev/null; }

# Opens the backing as nbd-server will, and says why it can't. nbd-server itself would say that access is denied, or
# offer a disk that has become read-only.
open_backing() {
  if [ "$read_only" = true ]; then set -- if="$backing" of=/dev/null; else set -- if=/dev/null of="$backing"; fi
  as_user dd "$@" conv=nocreat,notrunc count=0 status=none
}

{{sameFile}}

# A device is known by its name, a loop device by its unit.
look_at_backing() {
  said=$(as_user stat -L -c '%F|%i %W' -- "$backing") || refuse "the backing cannot be looked at: $said. Once that is cured, on $host: netdisk resume $name"
  case $said in
    regular*) own_file "${said#*|}" || refuse "another file than the disk's lies at $backing on the server: $which. Its file system may not be mounted; once it is, on $host: netdisk resume $name. If this file is meant, pulumi up says what to do" ;;
  esac
}

read -r verb key machine nonce host || exit 1
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
slice=${own%/*}
case $slice in
  */*netdisk*serve*"$name"*) ;;
  *) refuse "the server has no cgroup for the sessions of this disk: $own" ;;
esac
# Nothing of what follows would prove anything without it.
[ -w "$own/cgroup.kill" ] || refuse "the server cannot end a session for certain: $own has no cgroup.kill (Linux 5.14 or newer, with the unified cgroup hierarchy)"
again=resume
[ "$verb" != takeover ] || again=takeover
install -d -m 700 "${lock%/*}"
said=$(mkdir -p "${lease%/*}" 2>&1) || unwritten
exec 9>"$lock"
flock -w 30 9 || refuse "another session is just beginning"

holder=free void=
if [ -e "$lease" ]; then
  holder=$(head -n 1 "$lease") && void=$(tail -n +2 "$lease") && [ -n "$holder" ] || refuse "the lease cannot be read on the server: $lease is empty or damaged. Bring it back from a backup, or remove it there if no other client has the disk attached; then on $host: netdisk $again $name"
fi
void=${void:+$newline$void}
h_key='' h_machine='' h_nonce='' h_host='' h_since=''
if [ "$holder" != free ]; then
  read -r h_key h_machine h_nonce h_host h_since <<END
$holder
END
fi

# This client, also after a boot; or this very attachment of it, when its key was made anew or its machine has another id.
ours() {
  case "$h_key $h_machine $h_nonce" in "$key $machine "* | *" $machine $nonce" | "$key "*" $nonce") ;; *) false ;; esac
}

if [ "$verb" = lease ]; then
  if [ "$holder" = free ]; then say "free"; else say "held by $h_host since $h_since"; fi
  echo ok >&0
  exit 0
fi
case "$void$newline" in
  *"$newline$nonce$newline"*)
    now="nobody holds it now"
    [ "$holder" = free ] || now="$h_host holds it since $h_since"
    refuse "fenced: this attachment of $host has lost the disk $name; $now. What it has not written yet never will be. On $host: netdisk abort $name"
    ;;
esac
if [ "$verb" = release ]; then
  ours || { echo ok >&0; exit 0; }
  fence
  void="$void$newline$nonce"
  write_lease free
  say "released"
  echo ok >&0
  exit 0
fi
if [ "$holder" != free ] && ! ours && [ "$verb" != takeover ]; then
  refuse "the disk $name is held by $h_host since $h_since. Detach it there, or on $host: netdisk takeover $name"
fi

if [ "$h_key $h_machine $h_nonce" != "$key $machine $nonce" ]; then
  # The former holder can never come back with what it has kept: it is void before its session ends.
  if [ -n "$h_nonce" ] && [ "$h_nonce" != "$nonce" ]; then void="$void$newline$h_nonce"; fi
  write_lease "$key $machine $nonce $host $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "lease: $host ($verb)" >&2
else
  keep_lease
fi
fence
if [ "$verb" = takeover ]; then
  say "taken over"
  echo ok >&0
  exit 0
fi
said=$(open_backing) || refuse "the backing cannot be opened: ${said#dd: failed to open }. Once that is cured, on $host: netdisk resume $name"
look_at_backing
exec 9>&-
echo ok >&0
exec nbd-server -d -C "$config"
