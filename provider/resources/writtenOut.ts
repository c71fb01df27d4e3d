/** Proof that a disk's server has what its file system held: umount waits for a server, and succeeds without one. */
import { sh } from "../host/sh";

/**
 * A shell function that wants the mapping's kernel name `$dm`. `bounded SECONDS COMMAND...` runs a command that may hang,
 * until nothing was read or written for so long, and leaves in `$ended` how it failed.
 */
export const bounded = sh`# What waits in the kernel for a dead server can be neither killed nor waited for, which timeout(1) would do, too.
# A server that is only slow may take as long as the step itself has.
bounded() {
  seconds=$1 tries=0 before=
  shift
  "$@" >/dev/null 2>&1 &
  while kill -0 $! 2>/dev/null; do
    now=$(awk '{ print $1, $5 }' /sys/class/block/$dm/stat 2>/dev/null) || now=
    [ "$now" = "$before" ] || tries=0
    before=$now tries=$((tries + 1))
    if [ $tries -gt $((seconds * 5)) ]; then
      ended="got nothing done for $seconds s"
      return 1
    fi
    sleep 0.2
  done
  wait $! || { ended="failed with status $?"; return 1; }
}`;

/**
 * `bounded`, and functions that want the mapping's `$node` and its `$number` MAJOR:MINOR, too. `unwritten` says what would be
 * lost; `readable` and `closed_well` tell after the unmount whether the server was there until its end.
 */
export const writtenOut = sh`${bounded}
unwritten() {
  awk '/^Bdi(Reclaimable|Writeback):/ { kb += $2; n++ } END { if (n == 0) exit 1; print kb " kB of it are not on the server yet" }' /sys/kernel/debug/bdi/$number/stats 2>/dev/null ||
    awk '/^(Dirty|Writeback):/ { kb += $2 } END { print "what was written last is not on the server yet (of all that this host writes, " kb " kB wait)" }' /proc/meminfo
}
readable() { dd if=$node of=/dev/null bs=4096 count=1 iflag=direct status=none; }
# A file system that shut down leaves a log to be recovered. Only that is told: what the tool does not know is no failure.
closed_well() { ! xfs_logprint -t $node 2>/dev/null | grep -q '<DIRTY>'; }`;
