# shellcheck shell=bash
# The lab as a whole: up, down, reset, and what earlier labs left behind.

# The token ties what runs to the disks it runs on. A checkout that was deleted and cloned anew at the same path has another one.
instance_is_stale() {
  [[ -d $RUN || -e /run/netns/$NAMESPACE ]] || return 1
  ! cmp -s "$RUN/token" "$STATE/token" || ! namespace_exists
}

# remove_running NAMESPACE RUN: processes, namespace (and with it bridge and taps), sockets, pid files.
remove_running() {
  sweep "$1" "$2"
  [[ ! -e /run/netns/$1 ]] || ip netns del "$1"
  rm -rf "$2"
  rmdir "$RUN_ROOT" 2>/dev/null || true
}

# Labs whose checkout has been deleted can't be ended by anybody's "lab/lab down" any more.
remove_orphans() {
  local run checkout
  for run in "$RUN_ROOT"/*/; do
    run=${run%/}
    [[ -f $run/checkout && $run != "$RUN" ]] || continue
    checkout=$(<"$run/checkout")
    [[ ! -e $checkout/lab/lab ]] || continue
    note "removing what still runs of the deleted checkout $checkout (${run##*/})"
    remove_running "netdisk-${run##*/}" "$run"
  done
}

# boot HOST...: those that do not run yet, in parallel, until both can be logged in to
boot() {
  local host jobs=() start
  start=$(now)
  for host; do if ! alive "$host"; then guest_start "$host"; fi; done
  for host; do
    # ";", not "&&": left of "&&" bash ignores set -e
    (guest_wait "$host"; note "$host is up after $(since "$start") s") &
    jobs+=($!)
  done
  join_parallel "${jobs[@]}" || exit 1
}

up() {
  local host waiting=()
  build_if_needed
  if instance_is_stale; then
    note "removing what is left of an earlier lab in $RUN"
    need_outside_namespace
    remove_running "$NAMESPACE" "$RUN"
  fi
  remove_orphans
  mkdir -p "$RUN" "$STATE"
  if [[ ! -f $RUN/token ]]; then
    head -c 16 /proc/sys/kernel/random/uuid >"$STATE/token"
    cp "$STATE/token" "$RUN/token"
    printf '%s\n' "$CHECKOUT" >"$RUN/checkout"
  fi
  ssh_config_write
  network_up
  for host in "${HOSTS[@]}"; do guest_is_ready "$host" || waiting+=("$host"); done
  if ((${#waiting[@]})); then boot "${waiting[@]}"; fi
}

verb_up() {
  no_arguments up "$@"
  lock_lab
  up
}

shutdown_guests() {
  local host jobs=()
  for host in "${HOSTS[@]}"; do guest_shutdown "$host" & jobs+=($!); done
  join_parallel "${jobs[@]}"
}

verb_down() {
  no_arguments down "$@"
  need_outside_namespace
  lock_lab
  if ! instance_is_stale && namespace_exists; then shutdown_guests; fi
  remove_running "$NAMESPACE" "$RUN"
  # the next link is a new one
  rm -f "$STATE/shape"
}

# forget_disks: the guests' disks as they come from the image; the keys stay, so known_hosts stays true
forget_disks() { rm -f "$STATE"/{server,client}.cow "$STATE/server-disk.img" "$STATE/image"; }

verb_reset() {
  local host
  if (($# == 1)); then
    need_host "$1" reset
    reset_one "$1"
    return
  fi
  no_arguments reset "$@"
  lock_lab
  # not stale: those disks may be another checkout's, and "up" removes it all anyway
  for host in "${HOSTS[@]}"; do end_process "$host"; done
  forget_disks
  rm -f "$STATE/shape" "$STATE/log/server.log" "$STATE/log/client.log"
  if namespace_exists; then link_isolate off; fi
  up
}

# reset_one HOST: a new machine at the old address, while the other one runs on
reset_one() {
  lock_part "$1"
  need_network
  end_process "$1"
  rm -f "$STATE/$1.cow" "$STATE/log/$1.log"
  boot "$1"
}

no_arguments() {
  local verb=$1
  shift
  (($# == 0)) || usage_error "$verb takes no arguments; got \"$*\"" "Run \"lab/lab $verb --help\"."
}
