/** nbd-server's authfile: one address per line, `#` begins a comment. Pure. */
export const parseAllowFile = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim().split(/\s/)[0] ?? "")
    .filter(Boolean);
