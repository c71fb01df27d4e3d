/** What lies in a directory. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** How many entries it has; 0 where there is no directory. */
export const entries: Fact<[path: string], number> = {
  name: "find.entries",
  command: (path) =>
    sh`if ! test -d ${path}; then exit 44; fi; found=$(find ${path} -mindepth 1 -maxdepth 1 -printf x) && echo "\${#found}"`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return 0;
    if (exitCode !== 0 || !/^\d+\n$/.test(stdout)) throw new Error("unexpected answer of find");
    return Number(stdout);
  },
};
