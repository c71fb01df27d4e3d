/** What `npm run new-stack` may be given. Pure. */
import { parseArgs } from "node:util";
import type { Field } from "../schema/define";
import { nearest } from "../schema/nearest";
import { stackFields } from "../schema/stack";

export class Refusal extends Error {}

/** Every key of a stack file that is no secret is a flag: `--server.host`, and of the one disk `--file.size`. */
export const flags: Record<string, Field> = Object.fromEntries(
  Object.entries<Record<string, Field>>(stackFields).flatMap(([place, fields]) =>
    Object.entries(fields)
      .filter(([, field]) => !field.secret)
      .map(([key, field]) => [`${place}.${key}`.replace("disks.NAME.", ""), field]),
  ),
);

/** Flags that are no keys. */
export const ownFlags = ["disk", "recovery", "help"];

/** What was given, by flag; the stack's own name under NAME, since a disk has a `name`, too. Undefined: help was asked for. */
export function readFlags(args: string[]): Record<string, string> | undefined {
  const known = [...Object.keys(flags), ...ownFlags];
  const { tokens } = parseArgs({ args, strict: false, allowPositionals: true, tokens: true });
  const given: Record<string, string> = {};
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token?.kind === "positional") {
      if (given.NAME !== undefined) throw new Refusal(`one NAME is enough, but "${token.value}" came too.`);
      given.NAME = token.value;
    } else if (token?.kind === "option") {
      if (!known.includes(token.name))
        throw new Refusal(`unknown flag --${token.name}${nearest(token.name, known)}`);
      if (token.name === "help") return undefined;
      const next = tokens[i + 1];
      const value = token.value ?? (next?.kind === "positional" ? next.value : undefined);
      if (value === undefined) throw new Refusal(`--${token.name} needs a value.`);
      if (token.value === undefined) i++;
      given[token.name] = value;
    }
  }
  return given;
}
