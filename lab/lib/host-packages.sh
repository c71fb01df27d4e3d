# shellcheck shell=bash
# What the lab needs on this machine.

HOST_PACKAGES=(mmdebstrap patchelf socat debian-archive-keyring dpkg-dev iproute2 openssh-client git e2fsprogs kmod procps util-linux)
# For what an older kernel is loaded with.
[[ $KERNEL_SUITE == sid ]] || HOST_PACKAGES+=(gcc libc6-dev)

host_packages() {
  local missing
  command -v apt-get >/dev/null || die "this machine has no apt-get; the lab is made of Debian packages" "Use a machine with Debian 12 or newer."
  mapfile -t missing < <(missing_packages "${HOST_PACKAGES[@]}")
  ((${#missing[@]})) || return 0
  note "installing on this machine: ${missing[*]}"
  run_logged "$CACHE/log/apt-update.log" "apt-get update on this machine" apt_get update -q
  run_logged "$CACHE/log/apt-install.log" "installing ${missing[*]} on this machine" \
    apt_get install -y -q --no-install-recommends "${missing[@]}"
}
