/** The note of what netdisk's plugin for nbdkit was built from, and what came of it. */

export interface PluginManifest {
  /** SHA-256 of the sources. */
  source: string;
  /** SHA-256 by path. */
  digests: Record<string, string>;
}

/** `source DIGEST`, then the lines of sha256sum. */
export function parsePluginManifest(text: string): PluginManifest {
  const [first = "", ...lines] = text.trimEnd().split("\n");
  const source = /^source ([0-9a-f]{64})$/.exec(first)?.[1];
  const entries = lines.map((line) => /^([0-9a-f]{64}) {2}(\/.*)$/.exec(line));
  const digests: Record<string, string> = {};
  for (const [, digest = "", path = ""] of entries.flatMap((entry) => (entry ? [entry] : [])))
    digests[path] = digest;
  if (source === undefined || entries.some((entry) => entry === null)) throw new Error("it is damaged");
  return { source, digests };
}
