/** What dpkg knows of packages. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

const statuses = [
  "not-installed",
  "config-files",
  "half-installed",
  "unpacked",
  "half-configured",
  "triggers-awaited",
  "triggers-pending",
  "installed",
] as const;

export interface DpkgPackage {
  /** `installed` alone means that it is there and configured. */
  status: (typeof statuses)[number];
  /** Empty while it is not there. */
  version: string;
}

function parseLine(line: string): [string, DpkgPackage] {
  const [name, word, version, ...rest] = line.split("\t");
  const status = statuses.find((known) => known === word);
  if (!name || status === undefined || version === undefined || rest.length > 0) {
    throw new Error(`unexpected line: ${line}`);
  }
  return [name, { status, version }];
}

/** Of each package asked for that dpkg has ever heard of; the others are left out. */
export const dpkgPackages: Fact<[names: readonly string[]], Record<string, DpkgPackage>> = {
  name: "dpkg.packages",
  command: (names) =>
    sh`dpkg-query -W -f ${"${Package}\\t${db:Status-Status}\\t${Version}\\n"} -- ${[...names]}`,
  parse: ({ exitCode, stdout, stderr }) => {
    // Status 1 is also what it says of a name that it does not know; that must then be all it says.
    const strange = stderr
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("dpkg-query: no packages found matching "));
    if (exitCode > 1 || strange.length > 0) throw new Error("dpkg-query failed");
    const packages: Record<string, DpkgPackage> = {};
    for (const [name, found] of stdout.split("\n").filter(Boolean).map(parseLine)) {
      // The same package of a foreign architecture does not replace the host's own.
      if (packages[name]?.status !== "installed") packages[name] = found;
    }
    return packages;
  },
};
