/** Suggests what somebody probably meant to write. */

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const best = Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(swapped ? Math.min(best, (before[j - 2] ?? 0) + 1) : best);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Of two words, one is how the other begins: `host` and `hostname`. */
const begins = (a: string, b: string) =>
  Math.min(a.length, b.length) >= 3 && (a.startsWith(b) || b.startsWith(a));

/** The known word that is near enough to be what was meant. A short word is near to nearly all other short ones. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  const written = word.toLowerCase();
  const near = known
    .map((candidate) => ({ candidate, off: distance(written, candidate.toLowerCase()) }))
    .filter(
      ({ candidate, off }) =>
        off <= Math.max(1, Math.floor(candidate.length / 3)) || begins(written, candidate.toLowerCase()),
    )
    .sort((a, b) => a.off - b.off)[0];
  return near?.candidate;
}

/** `; did you mean "size"?` or, where nothing is near, `; known are: …`. */
export function nearest(word: string, known: readonly string[]): string {
  const near = nearestOf(word, known);
  return near === undefined ? `; known are: ${known.join(", ")}` : `; did you mean "${near}"?`;
}
