/** One thing that is wrong in a stack file or in a component's arguments, and zod's findings in our words. */
import * as z from "zod";
import { maskLogins } from "./credentials";
import { nearestOf } from "./nearest";

export interface Mistake {
  /** Where, from the top-level key down. */
  path: string[];
  /** What is wrong, what is allowed instead, and the cure. Holds no secret. */
  text: string;
  /** What to point at: the value, the key (it should not be there), or the section (it should be there). */
  at: "value" | "key" | "section";
  /** For an unknown key: the place of the key that was probably meant. */
  meant?: string[];
}

/** As Pulumi spells paths, for `pulumi config set --path`: `disks.photos.mount.options[0]`. */
export const formatPath = (path: readonly string[]): string =>
  path.reduce((text, step) => {
    if (/^[0-9]+$/.test(step)) return `${text}[${step}]`;
    if (!/^[\w:-]+$/.test(step)) return `${text}[${JSON.stringify(step)}]`;
    return text === "" ? step : `${text}.${step}`;
  }, "");

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === "";

/** The value at a path, undefined where the way does not lead there. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((inner, key) => {
    if (Array.isArray(inner)) return (inner as unknown[])[Number(key)];
    return isObject(inner) ? inner[String(key)] : undefined;
  }, value);
}

/** The schema of what lies at a path. */
function schemaAt(schema: unknown, path: readonly PropertyKey[]): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return schemaAt(schema.unwrap(), path);
  }
  const [first, ...rest] = path;
  if (first === undefined) return schema;
  if (schema instanceof z.ZodRecord) return schemaAt(schema.valueType, rest);
  if (schema instanceof z.ZodObject) {
    return schemaAt((schema.shape as Record<string, unknown>)[String(first)], rest);
  }
  return undefined;
}

/** The keys that a section may have. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  const inner = schemaAt(schema, path);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

type Issue = z.core.$ZodIssue;

/** A value as somebody would write it: text without quotes. */
export const plainText = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);

/** One of a few values. */
function choices(values: readonly unknown[], value: unknown): string {
  const names = values.map(plainText);
  const near = typeof value === "string" ? nearestOf(value, names) : undefined;
  const all = names.length === 1 ? `must be ${names[0] ?? ""}` : `must be one of ${names.join(", ")}`;
  const typed = names.includes(String(value)) ? ", without quotes" : "";
  return near === undefined || typed !== "" ? `${all}${typed}` : `${all}; did you mean "${near}"?`;
}

const sections = (keys: string[]) => `must be a section with keys of its own; known are: ${keys.join(", ")}`;

/** What a value of the wrong kind must be. */
function kind(expected: string, value: unknown, keys: string[], secret: boolean): string {
  switch (expected) {
    case "object":
      return sections(keys);
    case "record":
      return "must be a section with one NAME: for each, and no list";
    case "array":
      return "must be a list, such as [a, b]";
    case "boolean":
      return ["true", "false"].includes(String(value))
        ? `must be ${String(value)}, without quotes`
        : "must be true or false";
    case "number":
    case "int":
      return typeof value === "string" && /^[0-9]+$/.test(value)
        ? "must be a whole number, without quotes"
        : "must be a whole number";
    case "string":
      return !secret && (typeof value === "number" || typeof value === "boolean")
        ? `must be text; put it in quotes: "${value}"`
        : "must be text, in quotes where it looks like a number";
    default:
      return `must be ${expected}`;
  }
}

/** zod's finding in words; the definitions' own words where they have some. */
function sentence(issue: Issue, schema: unknown, value: unknown, secret: boolean): string {
  switch (issue.code) {
    case "invalid_type":
      return kind(issue.expected, value, keysAt(schema, issue.path), secret);
    case "invalid_value":
      return choices(issue.values, value);
    case "too_small":
      return issue.origin === "string" ? issue.message : `must be at least ${issue.minimum}`;
    case "too_big":
      return issue.origin === "string" ? issue.message : `must be at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** What was found, where it is short and may be shown. */
const found = (value: unknown, shown: boolean) =>
  shown && ["string", "number", "boolean"].includes(typeof value)
    ? ` (found ${maskLogins(JSON.stringify(value))})`
    : "";

export interface Reading {
  /** Whether the value at a path may be repeated in a message. */
  mayShow: (path: string[]) => boolean;
  /** The sections that know a key, to say where a misplaced one belongs. */
  homesOf?: (key: string) => string[];
  /** What to write where a required key is missing. */
  exampleOf?: (path: string[]) => string | undefined;
}

/**
 * All that a schema finds wrong with a value, in words.
 * @param root where the value is
 */
export function mistakesIn(schema: z.ZodType, value: unknown, root: string[], reading: Reading): Mistake[] {
  const issues = schema.safeParse(value).error?.issues ?? [];
  return issues.flatMap((issue): Mistake[] => {
    const path = [...root, ...issue.path.map(String)];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => unknownKey([...path, key], keysAt(schema, issue.path), reading));
    }
    const inner = valueAt(value, issue.path);
    if (inner === undefined) {
      const example = reading.exampleOf?.(path);
      return [{ path, text: `is missing${example ? `, such as ${example}` : ""}`, at: "section" }];
    }
    if (isEmpty(inner)) {
      const keys = keysAt(schema, issue.path);
      const cure = keys.length > 0 ? `known keys are: ${keys.join(", ")}` : "give it a value, or remove it";
      return [{ path, text: `is empty; ${cure}`, at: "key" }];
    }
    const shown = reading.mayShow(path);
    return [{ path, text: `${sentence(issue, schema, inner, !shown)}${found(inner, shown)}`, at: "value" }];
  });
}

export function unknownKey(path: string[], known: string[], { homesOf }: Partial<Reading>): Mistake {
  const key = path.at(-1) ?? "";
  const near = nearestOf(key, known);
  const homes = homesOf?.(key) ?? [];
  // An exact match elsewhere says more than a likeness here.
  if (homes.length > 0 && near?.toLowerCase() !== key.toLowerCase()) {
    return { path, text: `does not belong here; it is a key of ${homes.join(" and of ")}`, at: "key" };
  }
  if (near === undefined) return { path, text: `unknown key; known are: ${known.join(", ")}`, at: "key" };
  const meant = [...path.slice(0, -1), near];
  return { path, text: `unknown key; did you mean "${near}"?`, at: "key", meant };
}

/** A key that is missing because it is misspelled is one mistake, not two. */
export function withoutEchoes(mistakes: Mistake[]): Mistake[] {
  const meant = new Set(mistakes.flatMap((mistake) => (mistake.meant ? [formatPath(mistake.meant)] : [])));
  return mistakes.filter(({ path, at }) => at !== "section" || !meant.has(formatPath(path)));
}
