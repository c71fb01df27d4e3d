# shellcheck shell=bash
# The lab's network: one namespace, one bridge, one tap per guest, and two ways out for the guests: Debian's archive and nbd.git.
# No NAT, no route, nothing of this machine's own network is changed.

in_namespace() { ip netns exec "$NAMESPACE" "$@"; }

# A plain file of that name is what a reboot of this machine leaves where /run is on disk.
namespace_exists() { [[ $(stat -f -c %T "/run/netns/$NAMESPACE" 2>/dev/null) == nsfs ]]; }

inside_namespace() { namespace_exists && [[ $(stat -Lc %i /proc/self/ns/net) == "$(stat -Lc %i "/run/netns/$NAMESPACE")" ]]; }

need_outside_namespace() {
  ! inside_namespace || die "this shell is inside the lab's own namespace $NAMESPACE" "Run this command outside \"lab/lab exec\"."
}

network_up() {
  local host archive port
  if ! namespace_exists; then
    need_tun
    ip netns add "$NAMESPACE"
    in_namespace ip link set lo up
    in_namespace ip link add br0 type bridge
    in_namespace ip addr add "$HOST_ADDRESS/24" dev br0
    in_namespace ip link set br0 up
    for host in "${HOSTS[@]}"; do
      in_namespace ip tuntap add "tap-$host" mode tap
      in_namespace ip link set "tap-$host" master br0 up
    done
  fi
  # A unix socket joins the relay inside the namespace with the one outside: that is what crosses the border.
  read -r archive port <<<"$(archive_endpoint "$(<"$CACHE/archive")")"
  if ! alive relay-out || ! alive relay-in || ! alive git; then
    need_outside_namespace
    if ! alive relay-out; then
      rm -f "$RUN/archive.sock"
      start_process relay-out socat "UNIX-LISTEN:$RUN/archive.sock,fork" "TCP:$archive:$port"
    fi
    alive relay-in || start_process relay-in ip netns exec "$NAMESPACE" \
      socat "TCP-LISTEN:$port,bind=$HOST_ADDRESS,fork,reuseaddr" "UNIX-CONNECT:$RUN/archive.sock"
    alive git || start_process git ip netns exec "$NAMESPACE" \
      git daemon --base-path="$(dirname "$NBD_GIT")" --export-all --reuseaddr --listen="$HOST_ADDRESS"
  fi
}

need_tun() {
  [[ -c /dev/net/tun ]] && return
  modprobe tun 2>/dev/null || true
  [[ -c /dev/net/tun ]] || die "this machine has no /dev/net/tun, so the guests can't have a network" \
    "Load the module tun, or, in a container, pass the device in (--device /dev/net/tun --cap-add NET_ADMIN)."
}

verb_exec() {
  (($#)) || usage_error "exec needs a command" "Run \"lab/lab exec --help\"."
  namespace_exists || die "the lab \"$LAB_NAME\" is not up (no namespace $NAMESPACE)" "Run \"lab/lab up\"."
  exec ip netns exec "$NAMESPACE" "$@"
}
