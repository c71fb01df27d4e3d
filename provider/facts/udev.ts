/** What udev has in its database about block devices. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** The value of one property for every block device whose kernel name begins with `prefix`; "" where it has none. */
export const udevProperty: Fact<[prefix: string, property: string], Record<string, string>> = {
  name: "udev.property",
  command: (prefix) =>
    sh`for dir in /sys/class/block/${prefix}*; do if test -e "$dir"; then udevadm info --query=property "$dir" || exit 1; echo; fi; done`,
  parse: ({ exitCode, stdout }, _prefix, property) => {
    if (exitCode !== 0) throw new Error("udevadm info failed");
    const found: Record<string, string> = {};
    for (const block of stdout.trim().split(/\n\n+/).filter(Boolean)) {
      const lines = block.split("\n").map((line) => {
        const at = line.indexOf("=");
        if (at < 1) throw new Error(`unexpected line: ${line}`);
        return [line.slice(0, at), line.slice(at + 1)] as const;
      });
      const values = new Map(lines);
      const device = values.get("DEVNAME");
      if (device === undefined) throw new Error(`a device without DEVNAME: ${block}`);
      found[device] = values.get(property) ?? "";
    }
    return found;
  },
};
