/** authorized_keys of sshd(8). Pure. */

export interface AuthorizedLine {
  /** As written: `restrict`, `permitopen="127.0.0.1:10809"`. */
  options: string[];
  /** `ssh-ed25519 BASE64`. */
  publicKey: string;
  comment: string;
}

const keyPart = /^((?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+) +([A-Za-z0-9+/=]+)(?:[ \t]+(.*))?$/;

/** Splits at commas and ends at a blank, both outside of quotes. */
function splitOptions(line: string): { options: string[]; rest: string } {
  const options: string[] = [];
  let quoted = false;
  let start = 0;
  for (let i = 0; i < line.length; i++) {
    const letter = line[i];
    if (letter === "\\" && line[i + 1] === '"') i++;
    else if (letter === '"') quoted = !quoted;
    else if (!quoted && (letter === "," || letter === " " || letter === "\t")) {
      options.push(line.slice(start, i));
      start = i + 1;
      if (letter !== ",") return { options, rest: line.slice(start).trim() };
    }
  }
  return { options: [...options, line.slice(start)], rest: "" };
}

/**
 * The lines that hold a key, in their order: sshd takes the first that fits. A line that is no key is none
 * for sshd either, so it is left out.
 */
export function parseAuthorizedKeys(text: string): AuthorizedLine[] {
  const lines: AuthorizedLine[] = [];
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    const split = keyPart.test(line) ? { options: [], rest: line } : splitOptions(line);
    const key = keyPart.exec(split.rest);
    if (key?.[1] && key[2]) {
      lines.push({ options: split.options, publicKey: `${key[1]} ${key[2]}`, comment: key[3] ?? "" });
    }
  }
  return lines;
}

/** The value of `permitopen="…"`, where it is there exactly once. */
export function permitOpenOf({ options }: AuthorizedLine): string | undefined {
  const values = options.flatMap((option) => /^permitopen="([^"]*)"$/.exec(option)?.[1] ?? []);
  return values.length === 1 ? values[0] : undefined;
}
