/** The sources of the client's plugin, as they come with this package: what is sent to a client to be built there. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageDirectory } from "./template";

/** One file of a ustar archive: a header of 512 bytes, the content, zeros up to the next 512. */
function tarEntry(name: string, content: string): string {
  const bytes = Buffer.byteLength(content);
  const octal = (value: number, width: number): string => value.toString(8).padStart(width - 1, "0") + "\0";
  const header = (sum: string): string =>
    [
      name.padEnd(100, "\0"),
      octal(0o644, 8),
      octal(0, 8) + octal(0, 8),
      octal(bytes, 12) + octal(0, 12),
      sum,
      "0".padEnd(101, "\0"),
      "ustar\0".concat("00"),
    ]
      .join("")
      .padEnd(512, "\0");
  const sum = Buffer.from(header(" ".repeat(8))).reduce((all, byte) => all + byte, 0);
  return (
    header(`${sum.toString(8).padStart(6, "0")}\0 `) + content + "\0".repeat((512 - (bytes % 512)) % 512)
  );
}

export interface AgentSources {
  /** SHA-256 over names and contents. */
  digest: string;
  /** A tar archive: all files are text. */
  archive: string;
}

let sources: AgentSources | undefined;

export function agentSources(): AgentSources {
  if (sources) return sources;
  const root = join(packageDirectory(), "agent");
  const names = ["Makefile", ...readdirSync(join(root, "src")).map((name) => `src/${name}`)].sort();
  const archive =
    names.map((name) => tarEntry(name, readFileSync(join(root, name), "utf8"))).join("") + "\0".repeat(1024);
  sources = { archive, digest: createHash("sha256").update(archive).digest("hex") };
  return sources;
}
