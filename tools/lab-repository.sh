# shellcheck shell=bash
# Sourced by tools that build somebody's git repository on a lab's host.

# lab_repository REPOSITORY: sets `repository` to what the lab's hosts can clone. A directory of this machine is served to
# them until the calling script ends; a URL is taken as the hosts reach it. The lab must be up.
lab_repository() {
  local port=9419
  repository=$1
  [[ -d $repository ]] || return 0
  repository=$(realpath "$repository")
  # The repository may be anybody's. "lab/lab down" ends the daemon with everything else in the lab's network.
  lab/lab exec git -c safe.directory='*' daemon --listen=10.77.0.1 --port=$port --export-all --strict-paths "$repository" &
  trap 'kill %1 2>/dev/null || true' EXIT
  repository=git://git.lab:$port$repository
}
