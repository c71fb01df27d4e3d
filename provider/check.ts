/** Whether wishes make sense, before anything runs: all failures at once, with property paths. Pure. */
import { defaultOf, type Field } from "../schema/define";
import { nearest } from "../schema/nearest";
import { absentMark, conditionsOf } from "../schema/ownership";
import { Secret } from "../schema/secret";
import type { ResourceType } from "./resource";
import { equal, plain, type Properties } from "./wire/values";

export interface Failure {
  /** `size`, `packages[1]`. */
  property: string;
  reason: string;
}

export interface Checked {
  /** As the user spelled them, defaults filled in. */
  inputs: Properties;
  failures: Failure[];
}

type Fields = Record<string, Field>;

/** `packages` and [1] → `packages[1]`; `options` and ["a"] → `options.a`. */
const at = (key: string, path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : `${text}.${String(step)}`),
    key,
  );

function fieldFailures(key: string, field: Field, value: unknown): Failure[] {
  const result = field.schema.safeParse(value);
  if (result.success) return [];
  if (value === undefined) return [{ property: key, reason: `is missing. ${field.doc}` }];
  return result.error.issues.map((issue) => ({ property: at(key, issue.path), reason: issue.message }));
}

/** Checks values against fields. Unknown values pass: they are checked once they are known. */
export function checkFields(fields: Fields, news: Properties): Checked {
  const failures: Failure[] = [];
  const inputs: Properties = {};
  for (const key of Object.keys(news)) {
    if (!(key in fields) && news[key] !== undefined) {
      failures.push({ property: key, reason: `is not a property${nearest(key, Object.keys(fields))}` });
    }
  }
  for (const [key, field] of Object.entries(fields)) {
    const given = plain(news[key]);
    if (given.unknown) {
      inputs[key] = news[key];
      continue;
    }
    // null is how YAML and JSON write "left out".
    const value = given.value ?? undefined;
    failures.push(...fieldFailures(key, field, value));
    const filled = value === undefined ? defaultOf(field) : news[key];
    if (filled === undefined) continue;
    inputs[key] = field.secret && !(filled instanceof Secret) ? new Secret(filled) : filled;
  }
  return { inputs, failures };
}

const canonical = (field: Field, value: unknown): unknown =>
  field.canonical && value !== undefined ? field.canonical(value) : value;

/** Whether two spellings mean the same. */
export const same = (field: Field, a: unknown, b: unknown): boolean =>
  equal(canonical(field, a), canonical(field, b));

function show(value: unknown, secret: boolean): string {
  if (value === undefined) return "nothing";
  return secret ? "a secret" : JSON.stringify(value);
}

/**
 * Whether old inputs say that the field was left out. Where a field must have a value, or has a default, they do not: they
 * are those of a version that did not know it, and none at all are those of nothing.
 */
const wasLeftOut = (field: Field, olds: Properties): boolean =>
  Object.keys(olds).length > 0 && field.schema.safeParse(undefined).success && defaultOf(field) === undefined;

/** A fixed field whose old value is known, if only as left out, and differs: changing it in place would cost data. */
function fixedFailures(fields: Fields, olds: Properties, inputs: Properties): Failure[] {
  return Object.entries(fields).flatMap(([key, field]) => {
    const before = plain(olds[key]);
    const after = plain(inputs[key]);
    if (field.role !== "fixed" || before.unknown || after.unknown) return [];
    if (before.value === undefined && !wasLeftOut(field, olds)) return [];
    if (same(field, before.value, after.value)) return [];
    if (field.growable && Number(canonical(field, before.value)) < Number(canonical(field, after.value)))
      return [];
    const secret = field.secret || before.secret || after.secret;
    const change = `cannot change from ${show(before.value, secret)} to ${show(after.value, secret)}`;
    return [{ property: key, reason: `${change}. ${field.cure ?? "Keep it."}` }];
  });
}

/** What a change is held against: nothing where the thing is not there and keeps its id, since nothing can be lost. */
function binding(type: ResourceType, olds: Properties, inputs: Properties): Properties {
  if (plain(olds[absentMark]).value !== true) return olds;
  const before = knownWishes(type, olds);
  return type.name(before) === type.name({ ...before, ...knownWishes(type, inputs) }) ? {} : olds;
}

/**
 * The inputs of a resource. Conditions are added to them with their required value: the engine takes the new
 * side of a displayed difference from the inputs (`active: false => true`).
 */
export function check(type: ResourceType, olds: Properties | undefined, news: Properties): Checked {
  const conditions = conditionsOf(type.definition);
  const wishes = Object.fromEntries(Object.entries(news).filter(([key]) => !(key in conditions)));
  const { inputs, failures } = checkFields(type.definition.inputs, wishes);
  for (const [key, condition] of Object.entries(conditions)) {
    const given = plain(news[key]);
    // The engine itself sends back what it has: an import, or `ignoreChanges` on a condition.
    const known = given.value === undefined || given.value === condition.value;
    if (!known && !equal(given.value, plain(olds?.[key]).value)) {
      failures.push({ property: key, reason: `cannot be set; it is read on the host. Leave it out.` });
    }
    inputs[key] = given.value ?? condition.value;
  }
  if (failures.length > 0) return { inputs, failures };
  failures.push(...fixedFailures(type.definition.inputs, binding(type, olds ?? {}, inputs), inputs));
  failures.push(...(type.check?.(knownWishes(type, inputs)) ?? []));
  return { inputs, failures };
}

/** The names of fields whose value is not known yet. */
export const unknownFields = (type: ResourceType, inputs: Properties): string[] =>
  Object.keys(type.definition.inputs).filter((key) => plain(inputs[key]).unknown);

/** Checked inputs as a resource's code sees them: parsed, secrets as `Secret`; unknown ones left out. */
export function knownWishes(type: ResourceType, inputs: Properties): Properties {
  return parseFields(type.definition.inputs, inputs);
}

export function parseFields(fields: Fields, inputs: Properties): Properties {
  const wishes: Properties = {};
  for (const [key, field] of Object.entries(fields)) {
    const { value, unknown } = plain(inputs[key]);
    if (unknown) continue;
    // What an older version left in state need not fit today's schema; then it stays as it is.
    const result = field.schema.safeParse(value ?? undefined);
    const wish = result.success ? result.data : value;
    if (wish !== undefined) wishes[key] = field.secret ? new Secret(wish) : wish;
  }
  return wishes;
}
