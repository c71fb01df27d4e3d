# shellcheck shell=bash
# The link between the two guests. Control from this machine is never cut and never shaped.

# --- cut and heal: bridge ports that are isolated talk to the bridge's own address, not to each other

link_is_cut() { in_namespace bridge -d link show dev tap-server | grep -q 'isolated on'; }

link_isolate() {
  local host
  for host in "${HOSTS[@]}"; do in_namespace bridge link set dev "tap-$host" isolated "$1"; done
}

# --- shape: in the guests, because this machine's kernel may lack netem. What is wished lies in $STATE/shape; a guest gets it
# when it comes up and keeps a copy, so that it is shaped from the first packet of its next boot.

shape_wish() { if [[ -f $STATE/shape ]]; then cat "$STATE/shape"; else echo none; fi; }

shape_push() { guest_ssh "$1" "lab-shape $(shape_wish)"; }

shape_push_all() {
  local host jobs=()
  for host in "${HOSTS[@]}"; do
    if alive "$host"; then { shape_push "$host" || exit 1; } & jobs+=($!); else note "$host is off: it gets this when its power is on"; fi
  done
  join_parallel "${jobs[@]}" || die "the link's shape could not be set on every host (the reason is above)" "Mend it and run the same command again."
}

verb_link() {
  local what=${1:-}
  [[ $what =~ ^(cut|heal|shape|clear|show)$ ]] || usage_error "link: there is no \"$what\"" "Run \"lab/lab link --help\"."
  namespace_exists || die "the lab \"$LAB_NAME\" is not up, so it has no link" "Run \"lab/lab up\"."
  lock_part link
  case $what in
    cut) link_isolate on ;;
    heal) link_isolate off ;;
    shape)
      local rate=${2:-} delay=${3:-} loss=${4:-}
      [[ $rate =~ ^[0-9]+(\.[0-9]+)?[kmg]?bit$ ]] || usage_error "link shape: the rate is \"$rate\"" "Write it like 80mbit, 512kbit or 1gbit."
      [[ $delay =~ ^[0-9]+(\.[0-9]+)?(us|ms|s)$ ]] || usage_error "link shape: the delay is \"$delay\"" "Write it like 15ms (each way)."
      [[ $loss =~ ^([0-9]+(\.[0-9]+)?%)?$ ]] || usage_error "link shape: the loss is \"$loss\"" "Write it like 5% (each way), or leave it out."
      printf '%s\n' "$rate $delay${loss:+ $loss}" >"$STATE/shape"
      shape_push_all
      ;;
    clear) rm -f "$STATE/shape"; shape_push_all ;;
    show) link_show ;;
  esac
}

link_show() {
  local host shape
  if link_is_cut; then echo "link: cut"; else echo "link: whole"; fi
  for host in "${HOSTS[@]}"; do
    if ! alive "$host"; then shape=off; else shape=$(guest_ssh "$host" lab-shape show) || shape='does not answer'; fi
    echo "$host: $shape"
  done
}
