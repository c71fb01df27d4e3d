/** A known_hosts file, line by line. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface KnownHostLine {
  /** `HOST:PORT`, in the spelling of the inputs; the file writes port 22 without a number. */
  endpoint: string;
  /** `ALGORITHM BASE64` */
  publicKey: string;
}

export interface KnownHostsFile {
  hosts: KnownHostLine[];
  /** Lines that are no plain `HOST ALGORITHM BASE64`: hashed names, markers, patterns, comments. */
  others: number;
}

/** `server` → `server:22`, `[server]:2222` → `server:2222`, `::1` → `[::1]:22`. */
function endpointOf(host: string): string | undefined {
  const bracketed = /^\[([^\]]+)\]:([0-9]+)$/.exec(host);
  const name = bracketed?.[1] ?? host;
  if (!/^[A-Za-z0-9._:-]+$/.test(name)) return undefined;
  return `${name.includes(":") ? `[${name}]` : name}:${bracketed?.[2] ?? "22"}`;
}

/** Undefined when there is no such file. */
export const knownHosts: Fact<[path: string], KnownHostsFile | undefined> = {
  name: "knownHosts.file",
  command: (path) => sh`if test -e ${path}; then cat -- ${path}; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    if (exitCode !== 0) throw new Error("the file could not be read");
    const hosts: KnownHostLine[] = [];
    let others = 0;
    for (const line of stdout.split("\n").filter((text) => text !== "")) {
      const match = /^(\S+) ([a-z0-9-]+ [A-Za-z0-9+/=]+)$/.exec(line);
      const endpoint = match?.[1] && endpointOf(match[1]);
      if (match?.[2] && endpoint) hosts.push({ endpoint, publicKey: match[2] });
      else others += 1;
    }
    return { hosts, others };
  },
};
