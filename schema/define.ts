/**
 * One definition per resource type, from which everything else comes: the TypeScript types of arguments
 * and state, `check`, `diff`, schema.json, and the reference page.
 */
import type * as z from "zod";
import type { Secret } from "./secret";

/**
 * What may happen to an input after creation:
 * - `settable`: the host's real value is observed and brought back to the wish, in place;
 * - `fixed`: the host's real value is observed, but a change is refused with a cure (it would cost data);
 * - `unobserved`: cannot be read back from the host (a passphrase); a change is seen against the old wish;
 * - `order`: what a run may do, and nothing of the thing's own: given, changed or left out, it is no difference.
 */
export type Role = "settable" | "fixed" | "unobserved" | "order";

export interface FieldOptions {
  /** What it means, with its unit. Goes to schema.json, the reference page and the editor's tooltip. */
  doc: string;
  role?: Role;
  /** Never shown, encrypted in state, handed to the resource as a `Secret`. */
  secret?: boolean;
  /** For a fixed field: the last sentence of the refusal, what the user can do instead. */
  cure?: string;
  example?: unknown;
  /** For a fixed field whose canonical form is a number: a larger value is carried out, because it costs nobody data. */
  growable?: boolean;
  /** Maps spellings of one value to one form before comparing (`1024 MiB` and `1 GiB`). Default: identity. */
  canonical?: (value: unknown) => unknown;
}

export interface Field<T extends z.ZodType = z.ZodType, S extends boolean = boolean> extends FieldOptions {
  schema: T;
  role: Role;
  secret: S;
}

/** A field whose value no state has. */
export interface Unobserved {
  role: "unobserved" | "order";
}

export function field<T extends z.ZodType>(
  schema: T,
  options: FieldOptions & { secret: true },
): Field<T, true>;
export function field<T extends z.ZodType>(
  schema: T,
  options: FieldOptions & Unobserved,
): Field<T, false> & Unobserved;
export function field<T extends z.ZodType>(schema: T, options: FieldOptions): Field<T, false>;
export function field<T extends z.ZodType>(schema: T, options: FieldOptions): Field<T> {
  return { role: "settable", secret: false, ...options, schema };
}

/** Whether the host shows what became of the wish. */
export const isObserved = ({ role }: Field): boolean => role !== "unobserved" && role !== "order";

/** What holds where the field is left out. */
export function defaultOf({ schema }: Field): unknown {
  const filled = schema.safeParse(undefined);
  return filled.success ? filled.data : undefined;
}

/** What becomes of a later change, in a sentence; empty where any is carried out. */
export function laterChange({ role, growable }: Field): string {
  if (role !== "fixed") return "";
  return growable === true ? "Can only grow later." : "Cannot change later.";
}

/** A fact about the host that must hold for the resource to be in order; users cannot set it. */
export interface Condition<V extends boolean | string = boolean | string> {
  value: V;
  doc: string;
}

type Fields = Record<string, Field>;
type Conditions = Record<string, Condition>;

export interface Definition<
  I extends Fields = Fields,
  C extends Conditions = Conditions,
  O extends Fields = Fields,
> {
  /** `netdisk:index:BackingFile` */
  token: `netdisk:index:${string}`;
  /** First part of the id and of the claim's path: `backing-file`. */
  kind: string;
  /** What it is, in words that a reader of docs/article.md recognises. */
  doc: string;
  /** True where several stacks may claim the same thing on one host (packages, the generic configuration). */
  shared: boolean;
  /** The wishes. */
  inputs: I;
  /** What must hold besides the wishes; shown and repaired like a property. */
  conditions: C;
  /** What is only observed: unit names, UUIDs, versions. */
  outputs: O;
}

export function define<I extends Fields, C extends Conditions, O extends Fields>(
  definition: Definition<I, C, O>,
): Definition<I, C, O> {
  return definition;
}

/** What may be left out is left out, not a secret that holds nothing. */
type SecretOf<V> = Secret<Exclude<V, undefined>> | Extract<V, undefined>;
type Value<F> =
  F extends Field<infer T, infer S> ? (S extends true ? SecretOf<z.output<T>> : z.output<T>) : never;
type Flat<T> = { [K in keyof T]: T[K] };
type OptionalKeys<I extends Fields> = {
  [K in keyof I]: undefined extends z.input<I[K]["schema"]> ? K : never;
}[keyof I];

/** The wishes as a resource's code sees them: checked, defaults filled in, secrets wrapped. */
export type Inputs<D> = D extends Definition<infer I> ? Flat<{ [K in keyof I]: Value<I[K]> }> : never;

/** The wishes as a user writes them: fields with a default may be left out. */
export type Args<D> =
  D extends Definition<infer I>
    ? Flat<
        { [K in Exclude<keyof I, OptionalKeys<I>>]: z.input<I[K]["schema"]> } & {
          [K in OptionalKeys<I>]?: z.input<I[K]["schema"]>;
        }
      >
    : never;

type Observed<I extends Fields> = {
  [K in keyof I]: I[K] extends Field<infer T> ? z.output<T> : never;
};

type Widen<V> = V extends boolean ? boolean : V extends string ? string : never;

/**
 * What was read on the host: the real value of every observable input, of every condition and output.
 * Inputs of role `unobserved` and `order` are left out (optional here, because a role is not visible to the type).
 */
export type State<D> =
  D extends Definition<infer I, infer C, infer O>
    ? Flat<Partial<Observed<I>> & { [K in keyof C]: Widen<C[K]["value"]> } & { [K in keyof O]: Value<O[K]> }>
    : never;
