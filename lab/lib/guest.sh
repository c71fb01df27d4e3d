# shellcheck shell=bash
# One guest: start it, wait for it, shut it down, kill it.

console_log() { printf '%s' "$STATE/log/$1.log"; }

need_running() {
  alive "$1" || die "$1 of the lab \"$LAB_NAME\" is not running" "Run \"lab/lab up\", or \"lab/lab power on $1\" if you cut its power."
}

# The image that the guests' overlays lie on; a new lab takes the current one.
guest_image() {
  local image
  [[ -f $STATE/image ]] || cp "$CACHE/image/current" "$STATE/image"
  image=$(<"$STATE/image")
  [[ -f $image ]] || die "the disks of the lab \"$LAB_NAME\" lie on the image $image, which is gone" \
    "Run \"lab/lab reset\" to start over from the current image."
  printf '%s' "$image"
}

guest_start() {
  local host=$1 image disk=()
  image=$(guest_image)
  if [[ $host == server ]]; then
    [[ -f $STATE/server-disk.img ]] || truncate -s "$SERVER_DISK_SIZE" "$STATE/server-disk.img"
    disk=("ubdb=$STATE/server-disk.img")
  fi
  mkdir -p "$STATE/log" "$RUN/uml"
  rm -rf "$RUN/uml/$host" "$RUN/$host.ready"
  # TMPDIR: the guest's memory is a file there. Null consoles: a guest must never wait for a terminal.
  start_process "$host" ip netns exec "$NAMESPACE" env TMPDIR=/dev/shm \
    LAB_KERNEL="$KERNEL" LAB_PRELOAD="$KERNEL_PRELOAD" "$LAB_DIR/lib/guest-kernel" \
    "umid=$host" "uml_dir=$RUN/uml" "mem=$MEMORY" seccomp=on \
    "ubda=$STATE/$host.cow,$image" "${disk[@]}" root=/dev/ubda rw \
    "vec0:transport=tap,ifname=tap-$host,depth=128,gro=1,mac=${MAC[$host]}" \
    con=null con0=null,fd:1 ssl=null loglevel=4 "systemd.hostname=$host" "lab.address=${ADDRESS[$host]}"
}

guest_answers() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  in_namespace timeout 1 bash -c 'exec 3<>"/dev/tcp/$0/22" && read -r banner <&3 && [[ $banner == SSH-* ]]' "${ADDRESS[$1]}" 2>/dev/null
}

# guest_wait HOST: until a login works; or says why it does not.
guest_wait() {
  local host=$1 start start_second=$SECONDS
  start=$(now)
  until guest_answers "$host"; do
    alive "$host" || guest_failed "$host" "its kernel ended $(since "$start") s after the start"
    ((SECONDS - start_second < BOOT_TIMEOUT)) || guest_failed "$host" "no ssh after $BOOT_TIMEOUT s"
    sleep 0.1
  done
  guest_ssh "$host" true || guest_failed "$host" "sshd answers but the lab's key can't log in"
  shape_push "$host" || guest_failed "$host" "the link's shape could not be set"
  cp "$RUN/$host.pid" "$RUN/$host.ready"
}

guest_failed() {
  local host=$1 why=$2
  tail -n 25 "$(console_log "$host")" >&2
  die "$host of the lab \"$LAB_NAME\" did not come up: $why (the console's last lines are above, all of it in $(console_log "$host"))" \
    "If the console names no cause, try \"lab/lab reset\"."
}

# guest_is_ready HOST: this very process has already been waited for, and still answers.
guest_is_ready() {
  alive "$1" && cmp -s "$RUN/$1.pid" "$RUN/$1.ready" && guest_answers "$1"
}

# guest_shutdown HOST: as the power button does it; by force if that takes too long.
guest_shutdown() {
  local host=$1 start=$SECONDS
  if ! alive "$host"; then end_process "$host"; return; fi
  timeout 15 ssh -F "$SSH_CONFIG" -o BatchMode=yes -o ConnectTimeout=10 "$host" systemctl --no-block poweroff >/dev/null 2>&1 ||
    note "$host: no answer to \"systemctl poweroff\""
  while alive "$host"; do
    if ((SECONDS - start > SHUTDOWN_TIMEOUT)); then
      note "$host has not shut down within $SHUTDOWN_TIMEOUT s: killed (see $(console_log "$host"))"
      break
    fi
    sleep 0.05
  done
  end_process "$host"
}

verb_console() {
  need_host "${1:-}" console
  [[ -f $(console_log "$1") ]] || die "$1 of the lab \"$LAB_NAME\" has never been started" "Run \"lab/lab up\"."
  cat "$(console_log "$1")"
}
