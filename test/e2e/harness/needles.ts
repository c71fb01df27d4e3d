/** Looks for a secret in any of the shapes in which it could lie about. */
import { closeSync, openSync, readSync } from "node:fs";

export interface Needle {
  /** What it is, for the message; never the secret itself. */
  name: string;
  bytes: Buffer;
}

/** The secret as it is, in hex, and in base64 at each of the three places where a group may begin. */
export function needlesOf(name: string, secret: Buffer): Needle[] {
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), secret]).toString("base64");
    // Groups that the neighbours' bits reach into differ from place to place.
    return text.slice(shift === 0 ? 0 : 4, text.length - 4);
  });
  return [
    { name: `${name}, raw`, bytes: secret },
    { name: `${name}, hex`, bytes: Buffer.from(secret.toString("hex")) },
    { name: `${name}, HEX`, bytes: Buffer.from(secret.toString("hex").toUpperCase()) },
    ...base64.map((text, shift) => ({ name: `${name}, base64 +${shift}`, bytes: Buffer.from(text) })),
  ];
}

function count(haystack: Buffer, needle: Buffer, beyond: number): number {
  let found = 0;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) {
    if (at + needle.length > beyond) found++;
  }
  return found;
}

/** How often each needle that occurs at all occurs, of those that end after the first `beyond` bytes. */
export function findIn(haystack: Buffer, needles: Needle[], beyond = 0): Record<string, number> {
  const found = needles.map(({ name, bytes }) => [name, count(haystack, bytes, beyond)] as const);
  return Object.fromEntries(found.filter(([, times]) => times > 0));
}

const chunkBytes = 8 * 2 ** 20;

/** The same for a file that is too large to hold. */
export function findInFile(path: string, needles: Needle[]): Record<string, number> {
  const overlap = Math.max(...needles.map(({ bytes }) => bytes.length)) - 1;
  const buffer = Buffer.alloc(overlap + chunkBytes);
  const zeros = Buffer.alloc(buffer.length);
  const found: Record<string, number> = {};
  const file = openSync(path, "r");
  try {
    // The end of the chunk before stands in front of each chunk, for needles that lie across the border.
    let carried = 0;
    for (;;) {
      const read = readSync(file, buffer, carried, chunkBytes, null);
      if (read === 0) return found;
      const window = buffer.subarray(0, carried + read);
      if (!window.equals(zeros.subarray(0, window.length))) {
        for (const [name, times] of Object.entries(findIn(window, needles, carried))) {
          found[name] = (found[name] ?? 0) + times;
        }
      }
      const keep = Math.min(overlap, window.length);
      window.copy(buffer, 0, window.length - keep);
      carried = keep;
    }
  } finally {
    closeSync(file);
  }
}
