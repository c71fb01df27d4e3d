# shellcheck shell=bash
# Sourced by the scripts beside it: where things are, and how to say what happens.

# Not every script that sources this uses both.
# shellcheck disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lab/lib/machine.sh
source "$root/lab/lib/machine.sh"
# shellcheck disable=SC2034
cache=$(cache_of "$root")

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

die() {
  printf '%s: %s\n' "$(realpath --relative-to="$root" "$0")" "$*" >&2
  exit 1
}

# Starts the calling script anew as root: the lab needs network namespaces. PATH is kept, since Go and Node are
# often where sudo would not look.
become_root() {
  ((EUID == 0)) && return
  type -P sudo >/dev/null ||
    die "this needs root, and it runs as uid $EUID without sudo. Run it as root, or install sudo."
  exec sudo --preserve-env --set-home -- env "PATH=$PATH" "$(realpath "$0")" "$@"
}
