/** A block device's request queue, as sysfs has it (Documentation/ABI/stable/sysfs-block in Linux). */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** By attribute; of several choices the one that is chosen. `none` where this kernel has the attribute and no value for it; an attribute that it lacks is left out. */
export type QueueSettings = Partial<Record<string, string>>;

/** Follows links. Undefined where nothing is at the path, or only a link that leads nowhere. */
export const queueSettings: Fact<[path: string, attributes: string[]], QueueSettings | undefined> = {
  name: "queue.settings",
  command: (path, attributes) => sh`if ! test -b ${path}; then exit 44; fi
cd "/sys/class/block/$(basename "$(readlink -f ${path})")/queue" || exit 1
for attribute in ${attributes}; do
  test ! -e "$attribute" || echo "$attribute=$( (cat "$attribute" 2>/dev/null || echo none) | sed 's/.*\\[\\(.*\\)\\].*/\\1/')"
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    if (exitCode !== 0 || !/^([a-z_]+=[a-z0-9-]+\n)*$/.test(stdout))
      throw new Error("unexpected answer of sysfs");
    return Object.fromEntries(
      stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.split("=") as [string, string]),
    );
  },
};
