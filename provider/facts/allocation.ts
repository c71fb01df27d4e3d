/** What a file really takes on its disk, besides what stat.ts says. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Allocation {
  /** In the words of stat(1): `regular file`, `directory`, `symbolic link`, … */
  kind: string;
  /** Bytes. */
  size: number;
  /** Bytes that are reserved on the disk: less than the size where the file has holes. */
  allocated: number;
  owner: string;
  /** Four octal digits: `0600`. */
  mode: string;
  /** Which file it is: inode, and second of its birth, 0 where the file system knows none. */
  is: string;
}

/** Undefined only where stat says that there is nothing at the path. Links are not followed. */
export const statAllocation: Fact<[path: string], Allocation | undefined> = {
  name: "stat.allocation",
  command: (path) => sh`stat -c '%F|%s|%b|%B|%U|%a|%i %W' -- ${path}`,
  parse: ({ exitCode, stdout, stderr }) => {
    if (exitCode === 1 && /: (No such file or directory|Not a directory)\n?$/.test(stderr)) return undefined;
    const match = /^([a-z -]+)\|([0-9]+)\|([0-9]+)\|([0-9]+)\|([^|\n]+)\|([0-7]+)\|([0-9]+ [0-9]+)\n$/.exec(
      stdout,
    );
    if (exitCode !== 0 || !match) throw new Error("unexpected answer of stat");
    const [, kind = "", size, blocks, blockSize, owner = "", mode = "", is = ""] = match;
    return {
      kind: kind.replace("regular empty file", "regular file"),
      size: Number(size),
      allocated: Number(blocks) * Number(blockSize),
      owner,
      mode: mode.padStart(4, "0"),
      is,
    };
  },
};
