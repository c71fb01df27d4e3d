# shellcheck shell=bash
# How anything reaches a guest: one ssh_config for people, for the lab itself and for netdisk's provider.

SSH_CONFIG=$STATE/ssh_config

ssh_config_write() {
  local host
  mkdir -p "$STATE"
  for host in "${HOSTS[@]}"; do
    printf '%s,%s %s\n' "$host" "${ADDRESS[$host]}" "$(cut -d' ' -f1,2 "$KEYS/host-$host.pub")"
  done >"$STATE/known_hosts.new"
  mv "$STATE/known_hosts.new" "$STATE/known_hosts"
  {
    echo "# Written by lab/lab for the lab \"$LAB_NAME\". Both hosts also have a user operator with sudo: ssh -F FILE operator@server"
    for host in "${HOSTS[@]}"; do
      # Keepalive: a host whose power is cut never says goodbye.
      # The guests' addresses exist in the lab's namespace only; outside it something else may answer to them.
      cat <<CONFIG

Host $host
  HostName ${ADDRESS[$host]}
  User root
  IdentityFile $KEYS/login
  IdentitiesOnly yes
  UserKnownHostsFile $STATE/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  ServerAliveInterval 5
  ServerAliveCountMax 3
  ProxyCommand ip netns exec $NAMESPACE socat - TCP:%h:%p,connect-timeout=10
CONFIG
    done
  } >"$SSH_CONFIG.new"
  mv "$SSH_CONFIG.new" "$SSH_CONFIG"
}

# guest_ssh HOST COMMAND...: for the lab's own use; never asks, never hangs on a dead host
guest_ssh() {
  local host=$1
  shift
  ssh -F "$SSH_CONFIG" -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 "$host" "$@"
}

verb_ssh() {
  need_host "${1:-}" ssh
  local host=$1
  shift
  need_running "$host"
  exec ssh -F "$SSH_CONFIG" "$host" "$@"
}

verb_ssh_config() {
  [[ -f $KEYS/login ]] || die "the lab \"$LAB_NAME\" has no keys yet in $KEYS" "Run \"lab/lab up\"."
  [[ -f $SSH_CONFIG ]] || ssh_config_write
  printf '%s\n' "$SSH_CONFIG"
}
