/** What systemd-tmpfiles, which removes what was not used for a while, leaves alone: tmpfiles.d(5). */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** A glob as such a line may have it: neither `*` nor `?` stands for a slash. */
function matches(glob: string, path: string): boolean {
  const pattern = glob
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\[!/g, "[^")
    .replace(/\*/g, "[^/]*")
    .replace(/\?/g, "[^/]");
  try {
    return new RegExp(`^${pattern}$`).test(path);
  } catch {
    // A bracket that is not closed.
    return glob === path;
  }
}

/** The path, and the directories that it lies in. */
const withParents = (path: string): string[] =>
  path.split("/").flatMap((_, i, all) => (i < 1 ? [] : [all.slice(0, i + 1).join("/")]));

/** Whether a line of type `x` names the path, or a directory that it lies in. */
export const exempted: Fact<[path: string], boolean> = {
  name: "tmpfiles.exempted",
  command: () => sh`systemd-tmpfiles --cat-config`,
  parse: ({ exitCode, stdout }, path) => {
    if (exitCode !== 0) throw new Error("systemd-tmpfiles failed");
    // What is no such line exempts nothing.
    const globs = stdout
      .split("\n")
      .map((line) => /^\s*x\S*\s+(?:"([^"]+)"|'([^']+)'|(\S+))/.exec(line))
      .map((found) => found?.[1] ?? found?.[2] ?? found?.[3])
      .filter((glob) => glob !== undefined);
    return withParents(path).some((each) => globs.some((glob) => matches(glob, each)));
  },
};
