/**
 * What a file that was there before us holds. The client proves a device blank by samples (blank.ts): what it
 * would overlook must not reach it, and the server can read all of its own file.
 */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Bytes from the beginning that the client reads whole. */
const edge = 16_777_216;

export type Takeover =
  /** The note says that netdisk made this very file. */
  | "made"
  /** Zeros from end to end. */
  | "blank"
  /** Data where the client certainly sees it. */
  | "begins with data"
  /** Offset of the first byte that is not zero, after a beginning of zeros. */
  | number;

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
edge=${edge}
[ "$size" -gt $edge ] || edge=$size
if ! zeros $edge; then echo begins; exit 0; fi
if zeros "$size"; then echo blank; else echo "$said"; fi`,
  parse: ({ exitCode, stdout }) => {
    const said = stdout.trim();
    if (exitCode !== 0) throw new Error("the file cannot be read");
    if (said === "made" || said === "blank") return said;
    if (said === "begins") return "begins with data";
    const byte = / differ: (?:char|byte) ([0-9]+), line [0-9]+$/.exec(said)?.[1];
    if (byte === undefined) throw new Error(`unexpected line: ${said}`);
    return Number(byte) - 1;
  },
};
