# shellcheck shell=bash
# One login key for both guests; one host key per guest, so that checking host keys means something.
# They belong to the cache: known_hosts stays true through reset, restore and new images.

KEYS=$CACHE/keys

keys_build() {
  local key
  install -d -m 700 "$KEYS"
  for key in login host-server host-client; do
    [[ -f $KEYS/$key && -f $KEYS/$key.pub ]] && continue
    rm -f "$KEYS/$key" "$KEYS/$key.pub"
    ssh-keygen -q -t ed25519 -N '' -C "netdisk-lab-$key" -f "$KEYS/$key"
  done
}
