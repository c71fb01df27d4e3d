#!/bin/sh
# Disk {{name}}: nbdkit with netdisk's plugin, which keeps a copy of what the server has not made safe yet, and waits.
# Run by {{unit}}; written by netdisk.
set -u

name={{name}}
device={{device}}
note={{note}}
dir={{dir}}
socket=$dir/nbd.sock
control=$dir/control.sock
retained=$dir/retained
# This attachment's own id, for the server's lease: gone after a clean detach, unless the unit is only restarted, and with
# the boot.
nonce=$dir/nonce
given_up={{givenUp}}
# The same for as long as this host runs: its own disk may take nothing any more.
given_up_now=$dir/given-up
# Bytes that the disk is to have, for the plugin that starts next; while `grow` is under way.
larger=$dir/larger
# There while the unit runs only because a stop that is under way needs it.
woken=$dir/woken
helper={{helper}}
plugin={{plugin}}
retain={{retain}}
ssh_config={{sshConfig}}
# What a look at the host compares with the wish.
export NETDISK_SETTINGS={{settings}}
client={{client}}
# Seconds: how long a shutdown waits for a server that is out of reach all the while, and for one that is slow or
# comes and goes.
patience=25 long_patience=600

# As the server is told who asks, by the nonce $1. A copy of this host's disk has its machine-id, but runs on a machine of its
# own; not every board has an id.
identity() {
  echo "$(cat /etc/machine-id /sys/class/dmi/id/product_uuid 2>/dev/null | sha256sum | cut -c -16) $1 $(uname -n | tr -cd 'A-Za-z0-9._-' | cut -c -64)"
}

# Asks the server something about the lease, as the attachment $2: takeover, release, lease. What comes back is the server's
# word: some of it, and nothing by which a terminal could be told to do things.
ask_server() {
  {
    status=$({ { ssh -F "$ssh_config" server "$1 $(identity "$2")" </dev/null 2>&1; echo $? >&3; } |
      head -c 4096 | LC_ALL=C tr -cd '\n -~' >&4; } 3>&1)
  } 4>&1
  return "$status"
}

# Fails with 3 where no plugin runs, with another status where that cannot be said.
status() { "$helper" ask "$control" status; }

{{statusField}}

# What the status says under a key: `value state`, `value retained`. Nothing where no plugin runs; of one that does not answer the
# state is `unknown`.
value() { { status 2>/dev/null || [ $? = 3 ] || echo '{"state":"unknown"}'; } | field "$1"; }

{{attached}}

# What is retained lies in /run, for which a small client has a few dozen MiB: half of that at most, in whole MiB, so that
# the plugin starts at all; and 32 MiB are left, where 4 can be kept all the same: two headers of 16 MiB pass through /run when
# lost ones are put back. What a file there takes is room, too: one that keeps something is taken up as it is, and any other
# makes way.
fit_retain() {
  blocks=$(stat -c %b "$retained" 2>/dev/null || echo 0)
  free=$(df --output=avail -B 512 "$dir" | tail -n 1)
  half=$(((free + blocks) / 4096)) most=$(((free + blocks) / 2048 - 32))
  [ "$most" -ge 4 ] || most=4
  [ "$most" -le "$half" ] || most=$half
  # Never nothing: the plugin says better what is missing.
  [ "$most" -gt 0 ] && [ "$retain" -gt "$((most * 1048576))" ] || return 0
  echo "retain is $most MiB here, not $((retain / 1048576)): $dir has no room for more"
  retain=$((most * 1048576))
}

# Whole or not at all: with half an id the server lets nobody in.
is_id() { grep -Eqsx '[0-9a-f]{32}' "$1"; }

make_nonce() {
  od -An -v -tx1 -N16 /dev/urandom | tr -d ' \n' >"$nonce.new" && is_id "$nonce.new" && mv -f "$nonce.new" "$nonce" && return
  echo "this attachment's id cannot be written to $nonce. Make room in $dir (df $dir shows what there is); it is tried again each second." >&2
  return 1
}

# What was given up since the start; fails where nothing was.
loss() { cat "$given_up_now" "$given_up" 2>/dev/null | head -n 1 | grep .; }

start() {
  umask 077
  if lost=$(loss); then
    echo "the disk was given up on $lost"
    [ ! -e "$given_up" ] || mv -f "$given_up" "$given_up.told"
    rm -f "$given_up_now"
    attached || rm -f "$retained" "$nonce"
  fi
  is_id "$nonce" || make_nonce || exit 1
  rm -f "$socket"
  fit_retain
  [ ! -s "$larger" ] || set -- "grow-to=$(cat "$larger")"
  exec nbdkit -f -U "$socket" -t {{requests}} "$plugin" \
    name="$name" export="$name" control="$control" retain-file="$retained" retain="$retain" \
    chunk={{chunk}} timeout=20 dial-timeout=30 max-wait=1 max-wait-refused=30 max-wait-error=30 stop-timeout=20 one-flush=true \
    on-disconnect="$0 reconnect" "$@" \
    command=ssh arg=-F arg="$ssh_config" arg=server arg="serve $(identity "$(cat "$nonce")")"
}

# A plugin died, or was restarted, under an attached device, or the kernel ended the connection: its requests wait for this.
reconnect() {
  attached || return 0
  "$helper" reconnect "/dev/$node" "$pid" "$socket"
}

until_up() {
  tries=0
  until case $(value state) in up) true ;; replaying) false ;; *) tries=$((tries + 1)) && false ;; esac; do
    if [ "$tries" -gt 60 ]; then
      echo "no session with the server: $(value reason). \`netdisk status $name\` says what to do" >&2
      return 1
    fi
    sleep 1
  done
}

# The disk has $1 bytes on the server by now: a new plugin takes that over. Users wait, as when a plugin dies.
grow() {
  until_up || return 1
  # An earlier try came as far.
  [ "$(value size)" != "$1" ] || return 0
  trap 'rm -f "$larger"' EXIT
  trap 'exit 143' TERM HUP INT
  echo "$1" >"$larger" || return 1
  systemctl restart {{unit}} || { echo "{{unit}} did not come back with a session: $(value reason)" >&2; return 1; }
  until_up || return 1
  found=$(value size)
  [ "$found" = "$1" ] || { echo "the disk $name still has $found bytes: the server does not serve it with $1" >&2; return 1; }
}

# For ExecStop: whether the unit is started again as soon as it has stopped.
restarting() { systemctl list-jobs --no-legend {{unit}} | grep -q ' restart '; }

stop() {
  rm -f "$woken"
  # With a device attached nothing must be answered any more: systemd kills the plugin (KillSignal), and what waits goes
  # on with the next one.
  if attached; then
    echo "stopped under an attached device: its requests wait for {{unit}} to start again"
    return 0
  fi
  [ -z "${MAINPID-}" ] || kill -TERM "$MAINPID" 2>/dev/null || true
  tries=0
  while [ -n "${MAINPID-}" ] && [ -e "/proc/$MAINPID" ] && [ "$tries" -lt 250 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  if [ -e "$retained" ] && ! loss >/dev/null; then
    echo "not everything could be flushed: it is kept in $retained until this host goes down, and written at the next start"
    return 0
  fi
  # Each id that is given back is void for good, and one more for the server to remember.
  [ -s "$nonce" ] && ! restarting || return 0
  # Forgotten first: the server may hear us and its answer come too late, and what it has released is void for good. With a
  # new one it lets this host in, released or not.
  given_back=$(cat "$nonce")
  rm -f "$nonce"
  said=$(ask_server release "$given_back") || echo "the server could not be told that the disk is free: its lease stays with this host: $said"
}

note_loss() {
  [ ! -d "$dir" ] || echo "$lost" >"$given_up_now"
  mkdir -p "${given_up%/*}" && echo "$lost" >"$given_up.new" && sync "$given_up.new" && mv -f "$given_up.new" "$given_up"
}

# Sets $lost to what was noted, or to nothing where $1 fifths of a second later nothing is.
noted_loss() {
  tries=$1
  until lost=$(loss) || [ "$tries" = 0 ]; do
    tries=$((tries - 1))
    sleep 0.2
  done
}

# What a suspended mapping holds back would wait for ever, and its users with it.
resume_holders() {
  for holder in "/sys/block/$1/holders"/*; do
    [ -e "$holder" ] || continue
    mapping=$(cat "$holder/dm/name")
    dmsetup resume "$mapping" || echo "$mapping stays suspended, and what waits for it goes on waiting; to end that: dmsetup wipe_table $mapping" >&2
  done
}

# Gives the disk up: waiting requests fail, what is retained is lost. Said here, and again at the next start.
abort() {
  answer=$("$helper" ask "$control" abort)
  asked=$?
  said=$(echo "$answer" | field message)
  dismiss
  case $answer in
    '{"ok":true,'*) lost= ;;
    # Who comes second, as another unit's stop may, is not told any more what was lost: the first one notes it, or has.
    '{"ok":false,'*) noted_loss 10 ;;
    *) noted_loss 0 ;;
  esac
  if [ -z "$lost" ]; then
    lost="$(date -u +%Y-%m-%dT%H:%M:%SZ) ($1): ${said:-the plugin did not answer}; what programs had written and not synced is lost, too"
    note_loss
  fi
  echo "$name was given up on $lost" >&2
  # One that hangs may hold up the disconnect: while the kernel sends it a request, that waits until it is taken.
  case $asked in 0 | 3) ;; *) systemctl kill --signal=KILL {{unit}} ;; esac
  # A plugin that runs forgets by itself. Where none will start again, what is kept would hinder a removal for ever; one that
  # does start keeps a file of its own.
  [ -n "$answer" ] || rm -f "$retained"
  if attached; then
    if ! why=$("$client" -d "/dev/$node" 2>&1); then
      echo "/dev/$node is still attached, and what waits for it goes on waiting: $client -d /dev/$node failed: ${why:-without a word}. Cure that; then: netdisk abort $name" >&2
      return 1
    fi
    resume_holders "$node"
  fi
  # Now that it is free, another disk may be given the device: nothing of this one may lead there. Without a note the link is
  # none of ours: by transport: forward the disk is attached beside what is left of its session.
  [ ! -e "$note" ] || rm -f "$device" "$note"
}

# Where the unit was stopped by hand under an attached device, a stop of the disk or of the host would wait for nobody. So it
# is started for that, past dependencies by which it would come after the one and is refused by the other.
wake() {
  [ ! -e "$woken" ] && attached || return 0
  case $(systemctl is-active {{unit}}) in inactive | failed) ;; *) return 0 ;; esac
  echo "{{unit}} is stopped under the attached /dev/$node: started for what is not safe on the server yet"
  : >"$woken"
  systemctl start --no-block --job-mode=ignore-dependencies {{unit}}
}

# Neither of the two stops it in its turn: it had no need to when it began.
dismiss() { [ ! -e "$woken" ] || systemctl stop --no-block {{unit}}; }

uptime() { cut -d . -f 1 /proc/uptime; }

# Waits until process $1, which may hang because the server is out of reach, has ended. By hand a stop waits for the
# server as long as it takes; a shutdown gives the disk up after a while.
watch() {
  waited=0 away=0 last=$(uptime)
  while [ -e "/proc/$1" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; do
    sleep 1
    connections=$(value connections)
    [ -n "$connections" ] || wake
    # A plugin that hangs is waited for in each turn. Of one that took longer still only so much counts: without a session is
    # who is found so several times.
    now=$(uptime) passed=$((now - last)) last=$now
    [ "$passed" -le 5 ] || passed=5
    [ "$(systemctl is-system-running)" = stopping ] || continue
    # Without a device, or a request at its plugin, nobody waits for the server.
    attached || [ "$(value waiting)" -gt 0 ] 2>/dev/null || continue
    waited=$((waited + passed)) away=$((away + passed))
    # A session without progress ends by itself, in the midst of a replay, too. The state would not do: a session that works
    # on what the server has refused is still called parked.
    [ "${connections:-0}" = 0 ] || away=0
    if [ "$away" -ge "$patience" ]; then
      abort "shutdown, the server is out of reach"
      return
    elif [ -n "$long_patience" ] && [ "$waited" -ge "$long_patience" ]; then
      abort "shutdown, the server takes too long"
      return
    fi
  done
}

# For as long as process $1 waits until the chain is down, which in a shutdown begins before anything else is stopped. A user of
# the disk that is ordered after it may wait for the server, deaf to signals, and with it each stop of the chain. How long a
# session needs is the chain's own business, and so is how long others take that need no server.
watch_link() {
  long_patience=
  watch "$1"
}

# Waits as above for what the unit that runs us has left behind; fails where that is nothing. For ExecStopPost: a unit that
# is still starting is ended by SIGTERM, without ExecStop, and a process that waits for the server does not notice that.
left() {
  found=1
  for pid in $(cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs"); do
    # We are there, too, and so is the script that calls us.
    [ "$pid" != $$ ] && [ "$pid" != "$PPID" ] && [ -e "/proc/$pid" ] || continue
    found=0
    echo "process $pid ($(cat "/proc/$pid/comm" 2>/dev/null)) still waits for the server"
    watch "$pid"
  done
  return "$found"
}

# Who holds the lease, any client may know: also one that is not attached and has no nonce.
lease() { ask_server lease 00000000000000000000000000000000; }

takeover() {
  if ! is_id "$nonce"; then
    echo "$name is not started on this host, so that it could not take over the disk. Run: systemctl start --no-block netdisk@$name.target; then the same again" >&2
    return 1
  fi
  ask_server takeover "$(cat "$nonce")"
}

# What was given up since the start is no success, however well the rest went.
unharmed() {
  ! lost=$(loss) || { echo "$name was given up on $lost" >&2; return 1; }
}

case "${1-}" in
  start | reconnect | stop | status | left | dismiss | unharmed | lease | takeover) "$1" ;;
  abort) abort "${2:-by hand}" ;;
  grow) grow "$2" ;;
  watch) watch "$2" ;;
  watch-link) watch_link "$2" ;;
  value) value "$2" ;;
  *)
    echo "usage: $0 start|reconnect|stop|status|left|dismiss|unharmed|grow BYTES|value KEY|watch PID|watch-link PID|abort [WHY]|lease|takeover" >&2
    exit 2
    ;;
esac
