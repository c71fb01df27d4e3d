/** GLib's key files, the format of nbd-server's configuration: groups of `key = value`. Pure. */

export interface KeyFileGroup {
  name: string;
  /** In the order of the file; a key may appear twice, the last one counts. */
  entries: [key: string, value: string][];
}

export interface KeyFile {
  groups: KeyFileGroup[];
  /** Lines that GLib does not accept, and entries before the first group: with one of these nothing loads. */
  strange: string[];
}

const escapes: Record<string, string> = { s: " ", n: "\n", t: "\t", r: "\r", "\\": "\\" };

const unescape = (value: string): string =>
  value.replace(/\\(.)/g, (whole, letter: string) => escapes[letter] ?? whole);

/** A value as it must be written so that GLib reads `value`. */
export const escapeValue = (value: string): string =>
  value
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll("\t", "\\t")
    .replaceAll("\r", "\\r")
    .replace(/^ | $/g, "\\s");

export function parseKeyFile(text: string): KeyFile {
  const file: KeyFile = { groups: [], strange: [] };
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const group = /^\[([^[\]]+)\]$/.exec(line)?.[1];
    const entry = /^([^=[\]]*[^=[\]\s])\s*=\s*(.*)$/.exec(line);
    const last = file.groups.at(-1);
    if (group !== undefined) file.groups.push({ name: group, entries: [] });
    else if (entry?.[1] !== undefined && last) last.entries.push([entry[1], unescape(entry[2] ?? "")]);
    else file.strange.push(line);
  }
  return file;
}

/** What GLib takes for a boolean; undefined for anything else. */
export function keyFileBoolean(value: string | undefined): boolean | undefined {
  if (value === "true" || value === "1") return true;
  return value === "false" || value === "0" ? false : undefined;
}
