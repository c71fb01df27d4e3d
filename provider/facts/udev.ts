/** What udev has in its database about block devices. */
import { basename } from "node:path";
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** `KEY=value` lines as `udevadm info --query=property` prints them. */
function properties(text: string): Map<string, string> {
  return new Map(
    text.split("\n").map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new Error(`unexpected line: ${line}`);
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
}

/** The value of one property for every block device whose kernel name begins with `prefix`; "" where it has none. */
export const udevProperty: Fact<[prefix: string, property: string], Record<string, string>> = {
  name: "udev.property",
  command: (prefix) =>
    sh`set -- /sys/class/block/${prefix}*; if [ $# -gt 1 ] || test -e "$1"; then udevadm info --query=property "$@"; fi`,
  parse: ({ exitCode, stdout }, _prefix, property) => {
    if (exitCode !== 0) throw new Error("udevadm info failed");
    const found: Record<string, string> = {};
    // Of several devices it prints the one after the other, without a word between them; DEVPATH comes first.
    for (const block of stdout
      .trim()
      .split(/^(?=DEVPATH=)/m)
      .filter(Boolean)) {
      const values = properties(block.trim());
      const device = values.get("DEVNAME");
      if (device === undefined || basename(device) !== basename(values.get("DEVPATH") ?? "")) {
        throw new Error(`not the properties of one device: ${block}`);
      }
      found[device] = values.get(property) ?? "";
    }
    return found;
  },
};

/** What tells a device from another, the surest first: property, and what messages call it. */
const identities = [
  ["DM_UUID", "device-mapper"],
  ["ID_PART_ENTRY_UUID", "partition"],
  ["ID_WWN_WITH_EXTENSION", "WWN"],
  ["ID_WWN", "WWN"],
  ["ID_SERIAL_SHORT", "serial"],
  ["ID_SERIAL", "serial"],
] as const;

/**
 * `WWN 0x5000c500a1b2c3d4`; undefined where the device has nothing that another one in its place would not have.
 * A partition has the WWN and serial number of its disk, too: only its own UUID is one.
 */
export const udevIdentity: Fact<[device: string], string | undefined> = {
  name: "udev.identity",
  command: (device) => sh`udevadm info --query=property --name=${device}`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("udevadm info failed");
    const values = properties(stdout.trimEnd());
    const type = values.get("DEVTYPE");
    if (type === undefined) throw new Error("no DEVTYPE in the answer");
    const own =
      type === "partition" ? identities.filter(([key]) => key === "ID_PART_ENTRY_UUID") : identities;
    const [key, word] = own.find(([key]) => values.get(key)) ?? [];
    return key === undefined ? undefined : `${word} ${values.get(key)}`;
  },
};
