/** Which signature a device starts with, read from the device itself, not from udev's or blkid's cache. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Signature {
  /** `xfs`, `crypto_LUKS`, …; `ambivalent` where blkid finds several that exclude each other. */
  type: string;
  uuid?: string;
}

/** What `blkid -o export` printed. Undefined where it speaks of the partition only that the device is, not of what is in it. */
export function signatureIn(lines: string[]): Signature | undefined {
  const values = new Map<string, string>();
  for (const line of lines) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line);
    if (!match?.[1]) throw new Error(`unexpected line: ${line}`);
    values.set(match[1], match[2] ?? "");
  }
  // A partition table has PTTYPE instead of TYPE.
  const type = values.get("TYPE") ?? values.get("PTTYPE");
  if (type === undefined) {
    if ([...values.keys()].every((key) => key === "DEVNAME" || key.startsWith("PART_ENTRY_")))
      return undefined;
    throw new Error("neither TYPE nor PTTYPE in the answer");
  }
  const uuid = values.get("UUID");
  return uuid === undefined ? { type } : { type, uuid };
}

export const describeSignature = ({ type, uuid }: Signature): string =>
  uuid === undefined ? type : `${type} ${uuid}`;

/**
 * Undefined where blkid knows nothing of what is there: that alone does not mean blank. blkid has one status for
 * that, for a device that cannot be read and for one that is not there: the latter two are told apart here. Of a partition
 * it always knows something (`PART_ENTRY_…`), so that this status says nothing there.
 */
export const blkidProbe: Fact<[device: string], Signature | undefined> = {
  name: "blkid.probe",
  command: (device) => sh`test -b ${device} || exit 44
found=$(blkid -p -o export ${device})
status=$?
case $status in 0 | 2) echo "$found" | grep -Eq '^(PT)?TYPE=' || dd if=${device} of=/dev/null bs=64K count=1 iflag=direct status=none || exit 45 ;; esac
[ -z "$found" ] || echo "$found"
exit $status`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) throw new Error("no such block device");
    if (exitCode === 45) throw new Error("the device cannot be read");
    if (exitCode === 2 && stdout === "") return undefined;
    if (exitCode === 8) return { type: "ambivalent" };
    if (exitCode !== 0) throw new Error("blkid failed");
    return signatureIn(stdout.trimEnd().split("\n"));
  },
};
