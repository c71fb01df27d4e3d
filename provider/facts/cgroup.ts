/** Control groups: which processes belong to a systemd unit, and whether they can be ended for certain. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Process ids in the unit's control group; none when the unit has no processes. */
export const cgroupProcesses: Fact<[unit: string], number[]> = {
  name: "cgroup.processes",
  command: (unit) =>
    sh`group=$(systemctl show --property=ControlGroup --value -- ${unit}) || exit 1
if test -n "$group"; then cat "/sys/fs/cgroup$group/cgroup.procs"; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("the unit's control group cannot be read");
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        if (!/^[0-9]+$/.test(line)) throw new Error(`unexpected line: ${line}`);
        return Number(line);
      });
  },
};

/** Whether all processes of a unit can be killed at once (cgroup.kill: Linux 5.14, and the unified hierarchy). */
export const cgroupKill: Fact<[], boolean> = {
  name: "cgroup.kill",
  // Every host with systemd has the slice.
  command: () =>
    sh`test -d /sys/fs/cgroup || exit 1; if test -e /sys/fs/cgroup/system.slice/cgroup.kill; then echo yes; else echo no; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0 || !/^(yes|no)\n$/.test(stdout)) throw new Error("the control groups cannot be seen");
    return stdout === "yes\n";
  },
};
