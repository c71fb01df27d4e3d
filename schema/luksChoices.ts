/** Which parameters of cryptsetup go together, and what is taken where nothing was said. Pure. */

export interface LuksChoices {
  type?: unknown;
  cipher?: unknown;
  keySize?: unknown;
  pbkdf?: unknown;
  sectorSize?: unknown;
}

/** Defaults that depend on the version and the cipher. */
export const luksDefaults = ({ type, cipher }: LuksChoices) => ({
  keySize: cipher === "twofish-cbc-essiv:sha256" ? (256 as const) : (512 as const),
  pbkdf: type === "luks1" ? ("pbkdf2" as const) : ("argon2id" as const),
  sectorSize: type === "luks1" ? (512 as const) : (4096 as const),
});

/** What cryptsetup would refuse, or silently do otherwise, with the cure. What was left out is in order. */
export function luksMistakes(choices: LuksChoices): { property: keyof LuksChoices; reason: string }[] {
  const { type, cipher, keySize, pbkdf, sectorSize } = choices;
  const mistakes: { property: keyof LuksChoices; reason: string }[] = [];
  if (type === "luks1" && pbkdf === "argon2id") {
    mistakes.push({
      property: "pbkdf",
      reason: "LUKS1 knows pbkdf2 only. Leave it out, or use `type: luks2`.",
    });
  }
  if (type === "luks1" && sectorSize === 4096) {
    mistakes.push({
      property: "sectorSize",
      reason: "LUKS1 knows sectors of 512 bytes only. Leave it out, or use `type: luks2`.",
    });
  }
  if (cipher === "twofish-cbc-essiv:sha256" && keySize === 512) {
    mistakes.push({
      property: "keySize",
      reason: "twofish in CBC mode has keys of at most 256 bits. Leave it out, or use 256.",
    });
  }
  return mistakes;
}
