/** The nbd that is installed under a prefix: what its manifest says, whether the programs are those, and run. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface BuildManifest {
  repository: string;
  ref: string;
  /** 40 hex digits. */
  commit: string;
  configure: string[];
  /** SHA-256 by path below the prefix: `sbin/nbd-client`. */
  programs: Record<string, string>;
}

function isManifest(value: unknown): value is BuildManifest {
  if (typeof value !== "object" || value === null) return false;
  const it: Partial<Record<keyof BuildManifest, unknown>> = value;
  return (
    [it.repository, it.ref, it.commit].every((text) => typeof text === "string") &&
    Array.isArray(it.configure) &&
    it.configure.every((text) => typeof text === "string") &&
    typeof it.programs === "object" &&
    it.programs !== null &&
    Object.values(it.programs).every((digest) => /^[0-9a-f]{64}$/.test(String(digest)))
  );
}

/** `none`: nothing at the prefix, or an empty directory; `unknown`: something that has no manifest of ours. */
export const buildManifest: Fact<[prefix: string, manifest: string], BuildManifest | "none" | "unknown"> = {
  name: "nbdBuild.manifest",
  command: (prefix, manifest) =>
    sh`if test -e ${manifest}; then cat ${manifest}; elif ! test -e ${prefix}; then exit 44; else found=$(ls -A ${prefix}) || exit 1; if test -z "$found"; then exit 44; else exit 45; fi; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return "none";
    if (exitCode === 45) return "unknown";
    if (exitCode !== 0) throw new Error("the manifest could not be read");
    const manifest = JSON.parse(stdout) as unknown;
    if (!isManifest(manifest)) throw new Error("this is no manifest of netdisk");
    return manifest;
  },
};

/** SHA-256 by path; a file that is not there is left out. */
export const fileDigests: Fact<[paths: readonly string[]], Record<string, string>> = {
  name: "nbdBuild.digests",
  command: (paths) =>
    sh`for file in ${paths}; do if test -e "$file"; then sha256sum -- "$file" || exit 1; fi; done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("sha256sum failed");
    return Object.fromEntries(
      stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => {
          const match = /^([0-9a-f]{64}) {2}(.+)$/.exec(line);
          if (!match?.[1] || !match[2]) throw new Error(`unexpected line: ${line}`);
          return [match[2], match[1]];
        }),
    );
  },
};

/**
 * Whether nbd-client starts, with every library, version and symbol that it was linked with. Without arguments it
 * says how it is used and does nothing.
 */
export const starts: Fact<[client: string], boolean> = {
  name: "nbdBuild.starts",
  command: (client) => sh`LD_BIND_NOW=1 LC_ALL=C ${client} </dev/null 2>&1`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode < 126 && /^Usage: nbd-client /m.test(stdout)) return true;
    // The shell's own statuses and signals; the dynamic linker's, which has 1 for a version that is not there.
    if (exitCode >= 126 || / version `\S+' not found \(required by /.test(stdout)) return false;
    throw new Error("it says neither how it is used nor why it cannot start");
  },
};
