/** Suggests what somebody probably meant to write. */

/** Levenshtein's distance: insertions, deletions and replacements that turn one word into the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** `; did you mean "size"?` or, where nothing is near, `; known are: …`. */
export function nearest(word: string, known: readonly string[]): string {
  const near = known
    .map((candidate) => ({ candidate, off: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, off }) => off <= Math.max(2, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.off - b.off)[0];
  return near ? `; did you mean "${near.candidate}"?` : `; known are: ${known.join(", ")}`;
}
