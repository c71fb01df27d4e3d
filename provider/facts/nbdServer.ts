/** nbd-server's configuration on the host, and what the running one was started with. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** What the drop-in's script noted at the last start (templates/nbd-server-hook.sh). */
export interface LoadRecord {
  /** systemd's invocation id of that start. */
  invocation: string;
  /** SHA-256 by path of every configuration file. */
  digests: Record<string, string>;
}

/** Understands the record; throws on anything that the script does not write. Pure. */
export function parseLoadRecord(text: string): LoadRecord {
  const [first = "", ...lines] = text.trimEnd().split("\n");
  const invocation = /^invocation ([0-9a-f]{32})$/.exec(first)?.[1];
  if (invocation === undefined) throw new Error(`unexpected line: ${first}`);
  const digests: Record<string, string> = {};
  for (const line of lines) {
    const match = /^([0-9a-f]{64}) [ *](\/.*)$/.exec(line);
    if (!match?.[1] || !match[2]) throw new Error(`unexpected line: ${line}`);
    digests[match[2]] = match[1];
  }
  return { invocation, digests };
}

/**
 * Understands the other note of that script: by path of an export's file, the invocation id of the first start of
 * nbd-server with the text that it has now; throws on anything that the script does not write. Pure.
 */
export function parseSince(text: string): Record<string, string> {
  const since: Record<string, string> = {};
  for (const line of text.split("\n").filter(Boolean)) {
    const match = /^([0-9a-f]{32}) [0-9a-f]{64} [ *](\/.*)$/.exec(line);
    if (!match?.[1] || !match[2]) throw new Error(`unexpected line: ${line}`);
    since[match[2]] = match[1];
  }
  return since;
}

export interface ExportSection {
  file: string;
  name: string;
}

/** The sections of all files that nbd-server would load from the directory: regular ones that end in .conf. */
export const nbdServerSections: Fact<[directory: string], ExportSection[]> = {
  name: "nbdServer.sections",
  command: (directory) =>
    sh`find ${directory} -maxdepth 1 -type f -name ${"*.conf"} -exec awk ${'/^[[:space:]]*\\[/ { print FILENAME "\\t" $0 }'} ${"{}"} +`,
  parse: ({ exitCode, stdout, stderr }, directory) => {
    if (exitCode === 1 && stderr === `find: '${directory}': No such file or directory\n`) return [];
    if (exitCode !== 0) throw new Error("find failed");
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const match = /^(\/.*\.conf)\t\s*\[([^\]]*)\]?.*$/.exec(line);
        if (!match?.[1] || match[2] === undefined) throw new Error(`unexpected line: ${line}`);
        return { file: match[1], name: match[2] };
      });
  },
};
