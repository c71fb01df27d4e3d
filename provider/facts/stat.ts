/** What lies at a path: kind, size, mode, owner; links are not followed. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface FileStat {
  /** In the words of stat(1): `regular file`, `directory`, `symbolic link`, … */
  kind: string;
  /** Bytes. */
  size: number;
  /** Permission bits, octal, as stat(1) prints them: `400`. */
  mode: string;
  /** `user:group`. */
  owner: string;
}

/** Undefined only where stat says that there is nothing at the path. */
export const statPath: Fact<[path: string], FileStat | undefined> = {
  name: "stat.path",
  command: (path) => sh`stat -c '%F|%s|%a|%U:%G' -- ${path}`,
  parse: ({ exitCode, stdout, stderr }) => {
    if (exitCode === 1 && /: (No such file or directory|Not a directory)\n?$/.test(stderr)) return undefined;
    const match = /^([a-z ]+)\|([0-9]+)\|([0-7]+)\|([^|\n]+)\n$/.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("unexpected answer of stat");
    const [, kind = "", size, mode = "", owner = ""] = match;
    return { kind: kind.replace("regular empty file", "regular file"), size: Number(size), mode, owner };
  },
};
