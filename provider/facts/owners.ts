/** Owner and mode of several paths at once. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Ownership {
  /** `user:group`. */
  owner: string;
  /** Octal, as stat(1) prints it: `755`. */
  mode: string;
}

/** By path; what is not there is left out. Links are not followed. */
export const statOwners: Fact<[paths: readonly string[]], Record<string, Ownership>> = {
  name: "stat.owners",
  command: (paths) => sh`stat -c '%n|%U:%G|%a' -- ${[...paths]}`,
  parse: ({ exitCode, stdout, stderr }, paths) => {
    const strange = stderr
      .split("\n")
      .filter((line) => line !== "" && !/: (No such file or directory|Not a directory)$/.test(line));
    if (exitCode > 1 || strange.length > 0) throw new Error("stat failed");
    const found: Record<string, Ownership> = {};
    for (const line of stdout.split("\n").filter(Boolean)) {
      const match = /^(.+)\|([^|]+)\|([0-7]+)$/.exec(line);
      if (!match?.[1] || !match[2] || !match[3] || !paths.includes(match[1])) {
        throw new Error(`unexpected line: ${line}`);
      }
      found[match[1]] = { owner: match[2], mode: match[3] };
    }
    return found;
  },
};
