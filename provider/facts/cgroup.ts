/** Which of some processes belong to a systemd unit. */
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
