/** What device-mapper really runs under a name, whatever any header says. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface CryptMapping {
  /** device-mapper's own UUID: `CRYPT-LUKS2-<LUKS UUID without dashes>-<name at opening>`, or LUKS1. */
  dmUuid: string;
  /** LUKS UUID; undefined for a crypt mapping that is no LUKS container. */
  luksUuid?: string;
  cipher: string;
  /** MAJOR:MINOR of the device below. */
  below: string;
  /** Start of the data on the device below, bytes. */
  offset: number;
  /** Bytes. */
  size: number;
  /** Nobody who reads or writes gets an answer, until it is resumed. */
  suspended: boolean;
  /** Passes on to the device below which blocks are free. */
  passesDiscards: boolean;
  /** Neither reads nor writes wait in a queue of dm-crypt's own. */
  bypassesWorkqueues: boolean;
}

/** Undefined only where device-mapper says that there is no such name. Anything but one crypt target throws. */
export const dmsetupCrypt: Fact<[name: string], CryptMapping | undefined> = {
  name: "dmsetup.crypt",
  command: (name) => sh`dmsetup info -c --noheadings -o uuid,suspended ${name} && dmsetup table ${name}`,
  parse: ({ exitCode, stdout, stderr }) => {
    // dmsetup says this on stdout or stderr, depending on the version.
    if (exitCode === 1 && /^Device does not exist\.$/m.test(stdout + stderr)) return undefined;
    if (exitCode !== 0) throw new Error("dmsetup failed");
    const [info = "", table = "", ...more] = stdout.trimEnd().split("\n");
    const [, dmUuid = "", state] = /^(.*):(Active|Suspended)$/.exec(info) ?? [];
    if (state === undefined) throw new Error(`unexpected line: ${info}`);
    const match = /^0 ([0-9]+) crypt (\S+) \S+ [0-9]+ ([0-9]+:[0-9]+) ([0-9]+)( .*)?$/.exec(table);
    if (!match || more.length > 0) throw new Error("not a mapping with one crypt target");
    const [, sectors, cipher = "", below = "", offset, optional = ""] = match;
    const luksUuid = /^CRYPT-LUKS[12]-([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})-/
      .exec(dmUuid)
      ?.slice(1)
      .join("-");
    const options = optional.split(" ");
    const mapping = {
      ...{ dmUuid, cipher, below, offset: Number(offset) * 512, size: Number(sectors) * 512 },
      suspended: state === "Suspended",
      passesDiscards: options.includes("allow_discards"),
      bypassesWorkqueues: ["no_read_workqueue", "no_write_workqueue"].every((option) =>
        options.includes(option),
      ),
    };
    return luksUuid === undefined ? mapping : { ...mapping, luksUuid };
  },
};
