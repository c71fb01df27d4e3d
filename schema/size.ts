/** Sizes as people write them: a whole number and a binary unit, `20 GiB`. */

const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

export type SizeUnit = keyof typeof units;
/** A size in bytes, written with its unit: `512 MiB`, `20 GiB`, `2 TiB`. */
export type Size = `${number} ${SizeUnit}`;

export const sizePattern = /^([1-9][0-9]*) ?(B|KiB|MiB|GiB|TiB)$/;

/** The bytes that a size names, or undefined where the text is no size. */
export function sizeBytes(text: string): number | undefined {
  const match = sizePattern.exec(text);
  if (!match) return undefined;
  const bytes = Number(match[1]) * units[match[2] as SizeUnit];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The same number of bytes in the largest unit that divides it: 21474836480 → `20 GiB`. */
export function formatSize(bytes: number): Size {
  let best: SizeUnit = "B";
  for (const unit of Object.keys(units) as SizeUnit[]) {
    if (bytes >= units[unit] && bytes % units[unit] === 0) best = unit;
  }
  return `${bytes / units[best]} ${best}`;
}
