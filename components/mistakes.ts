/** Finds what is wrong with plain arguments, all of it at once; values yet unknown are left to the provider. */
import * as pulumi from "@pulumi/pulumi";
import type { Field } from "../schema/define";
import { nearest } from "../schema/nearest";

function isPlain(value: unknown): boolean {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) return false;
  if (value === null || typeof value !== "object") return true;
  return Object.values(value).every(isPlain);
}

/** One line per mistake, `path: what is wrong`. Values are not repeated: one of them may be a secret. */
export function mistakes(fields: Record<string, Field>, args: Record<string, unknown>): string[] {
  const lines: string[] = [];
  for (const key of Object.keys(args)) {
    if (!(key in fields)) lines.push(`${key}: unknown argument${nearest(key, Object.keys(fields))}`);
  }
  for (const [key, { schema }] of Object.entries(fields)) {
    const value = args[key];
    if (!isPlain(value)) continue;
    const { error } = schema.safeParse(value);
    if (!error) continue;
    if (value === undefined) lines.push(`${key}: is missing`);
    else for (const issue of error.issues) lines.push(`${[key, ...issue.path].join(".")}: ${issue.message}`);
  }
  return lines;
}
