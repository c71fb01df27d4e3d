/**
 * What a file that was there before us holds. Only the server can tell before it is made the disk's: the client proves a
 * device blank by samples (blank.ts), and what it would overlook must not reach it; the server can read all of its own file.
 */
import type { Fact } from "../fact";
import { sh } from "../host/sh";
import { describeSignature, signatureIn } from "./blkid";
import { provenEdge } from "./deviceLayout";
import { uuids } from "./luksDevice";

export type Takeover =
  /** The note says that netdisk made this very file. */
  | "made"
  /** Zeros from end to end. */
  | "blank"
  /** Begins with a LUKS header; whose, only an order to adopt it or a note that is renewed by hand says. */
  | "LUKS"
  /** Anything else, in words. */
  | { foreign: string };

/** `note` holds inode and birth of the file that netdisk made. Reads all of a file of zeros: minutes per 100 GiB. */
export const takeover: Fact<[path: string, note: string], Takeover> = {
  name: "takeover.file",
  timeoutMs: 6 * 3_600_000,
  command: (
    path,
    note,
  ) => sh`if test -e ${note} && test "$(cat -- ${note})" = "$(stat -c '%i %W' -- ${path})"; then echo made; exit 0; fi
size=$(stat -c %s -- ${path}) || exit 1
zeros() { said=$(cmp -n "$1" -- ${path} /dev/zero); status=$?; [ $status -le 1 ] || exit $status; return $status; }
edge=${provenEdge}
[ "$size" -gt $edge ] || edge=$size
${uuids}
if ! zeros $edge; then
  if [ -n "$(uuids ${path})" ]; then echo LUKS; exit 0; fi
elif zeros "$size"; then echo blank; exit 0; fi
echo "$said"
blkid -p -o export -- ${path}
case $? in 0 | 2) ;; 8) echo TYPE=ambivalent ;; *) exit 1 ;; esac`,
  parse: ({ exitCode, stdout }) => {
    const [said = "", ...known] = stdout.trim().split("\n");
    if (exitCode !== 0) throw new Error("the file cannot be read");
    if (said === "made" || said === "blank" || said === "LUKS") return said;
    const byte = / differ: (?:char|byte) ([0-9]+), line [0-9]+$/.exec(said)?.[1];
    if (byte === undefined) throw new Error(`unexpected line: ${said}`);
    const where = `data from byte ${Number(byte) - 1} on`;
    const signature = known.length === 0 ? undefined : signatureIn(known);
    return {
      foreign:
        signature === undefined
          ? `${where} that blkid does not know`
          : `${describeSignature(signature)} (${where})`,
    };
  },
};
