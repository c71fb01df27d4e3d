/** A block device's request queue, as sysfs has it (Documentation/ABI/stable/sysfs-block in Linux). */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/**
 * By attribute; of several choices the one that is chosen. `none` where this kernel has the attribute and no value for it; an
 * attribute that it lacks is left out.
 */
export type QueueSettings = Partial<Record<string, string>>;

/** Follows links. Undefined where nothing is at the path, or only a link that leads nowhere. */
export const queueSettings: Fact<[path: string, attributes: string[]], QueueSettings | undefined> = {
  name: "queue.settings",
  command: (path, attributes) => sh`if ! test -b ${path}; then exit 44; fi
cd "/sys/class/block/$(basename "$(readlink -f ${path})")/queue" || exit 1
for attribute in ${attributes}; do
  test ! -e "$attribute" || echo "$attribute=$(cat "$attribute" 2>/dev/null || echo none)"
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    if (exitCode !== 0) throw new Error("sysfs could not be read");
    const lines = stdout.split("\n").filter((line) => line !== "");
    return Object.fromEntries(
      lines.map((line) => {
        const [, attribute, choice, value = choice] =
          /^([a-z_]+)=(?:[a-z -]*\[([a-z-]+)\][a-z -]*|([a-z0-9-]+))$/.exec(line) ?? [];
        if (attribute === undefined || value === undefined) throw new Error(`unexpected line: ${line}`);
        return [attribute, value];
      }),
    );
  },
};
