# Runs the function $1 until it has succeeded or was refused (3). Not left to systemd: before its release 254 a start that
# fails takes along the jobs of all units that wait for it, however soon it is tried again. In a process of its own, where
# `set -e` holds; a stop of the unit ends both.
patiently() {
  while :; do
    "$1" &
    status=0
    wait $! || status=$?
    case $status in 0 | 3) return "$status" ;; esac
    sleep 5
  done
}
