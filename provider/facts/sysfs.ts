/** What the kernel says of a block device, without touching its content. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface BlockDevice {
  /** The kernel's name: `nbd0`. Changes from boot to boot. */
  kernelName: string;
  /** MAJOR:MINOR, as device-mapper tables name it. */
  number: string;
  /** Bytes; 0 for an nbd device without a connection. */
  size: number;
  /** Kernel names of the devices that are built on this one. */
  holders: string[];
}

/** Follows links. Undefined where nothing is at the path, or only a link that leads nowhere. */
export const blockDevice: Fact<[path: string], BlockDevice | undefined> = {
  name: "sysfs.blockDevice",
  command: (path) =>
    sh`if test -b ${path}; then cd "/sys/class/block/$(basename "$(readlink -f ${path})")" && pwd && cat dev size && ls holders; elif test -e ${path}; then exit 45; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    if (exitCode === 45) throw new Error("something else than a block device is there");
    const [path = "", number = "", sectors = "", ...holders] = stdout.trimEnd().split("\n");
    if (exitCode !== 0 || !/^[0-9]+:[0-9]+$/.test(number) || !/^[0-9]+$/.test(sectors)) {
      throw new Error("unexpected answer of sysfs");
    }
    return { kernelName: path.replace(/.*\//, ""), number, size: Number(sectors) * 512, holders };
  },
};
