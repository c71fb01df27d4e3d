/** What a host's package lists offer. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/**
 * The version of a package that is installed or that `apt-get install` would take, see apt-cache(8). Undefined where no list
 * has the package, as before the first `apt-get update`.
 */
export const aptCandidate: Fact<[name: string], string | undefined> = {
  name: "apt.candidate",
  command: (name) => sh`apt-cache policy -- ${name}`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("apt-cache failed");
    if (stdout === "") return undefined;
    const candidate = /^ {2}Candidate: (\S+)$/m.exec(stdout)?.[1];
    if (candidate === undefined) throw new Error("no candidate is named");
    return candidate === "(none)" ? undefined : candidate;
  },
};
