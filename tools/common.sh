# shellcheck shell=bash
# Sourced by the scripts beside it: where things are, and how to say what happens.

# Each of them is used by at least one script that sources this.
# shellcheck disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034
cache=$(realpath -m -- "${NETDISK_CACHE:-$root/.cache}")

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif type -P sudo >/dev/null; then
    sudo -- "$@"
  else
    die "'$*' needs root, and neither root nor sudo was found. Run this as root, or install sudo."
  fi
}
