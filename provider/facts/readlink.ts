/** Where a path really leads. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** The path without symbolic links, whether anything is there or not. */
export const realPath: Fact<[path: string], string> = {
  name: "readlink.realPath",
  command: (path) => sh`readlink -m -- ${path}`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0 || !/^\/.*\n$/.test(stdout)) throw new Error("unexpected answer of readlink");
    return stdout.slice(0, -1);
  },
};
