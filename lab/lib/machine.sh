# shellcheck shell=bash
# What every script asks of this machine, those of tools/ and agent/ too. It is here because lab/test runs lab/ alone.

# cache_of CHECKOUT: where NETDISK_CACHE has the cache. A relative path counts from the checkout, wherever a script is called:
# two of one run would else mean two directories.
cache_of() { (cd "$1" && realpath -m -- "${NETDISK_CACHE:-.cache}"); }

# missing_packages NAME…: those that are not installed, each on a line.
missing_packages() {
  local package
  for package; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

# apt_get ARGUMENT…: apt-get, tried again for five minutes while another apt or dpkg works, as apt-daily does on a machine
# that has just booted. Its own DPkg::Lock::Timeout does not wait for the lock of the package lists.
apt_get() {
  local said waits_until=$((SECONDS + 300)) waiting=
  while ! { said=$(env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive apt-get "$@" 2>&1 >&3); } 3>&1; do
    if [[ $said != *"Could not get lock "* && $said != *"lock was locked by "* ]] || ((SECONDS > waits_until)); then
      printf '%s\n' "$said" >&2
      return 1
    fi
    [[ $waiting ]] || printf '%s: waiting for another apt or dpkg: %s\n' "${0##*/}" "$(grep -m 1 lock <<<"$said")" >&2
    waiting=yes
    sleep 2
  done
  [[ -z $said ]] || printf '%s\n' "$said" >&2
}
