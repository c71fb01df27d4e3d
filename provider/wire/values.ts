/**
 * Properties as the engine sends them (protobuf Struct with magic objects and strings) and as we use them:
 * plain JavaScript with `Secret` and `Unknown`. Nothing behind this file sees the magic.
 */
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { Secret } from "../../schema/secret";

/** A value that the engine does not know yet: an output of something that `up` has still to make. */
export class Unknown {
  toString(): string {
    return "<unknown>";
  }

  toJSON(): string {
    return "<unknown>";
  }
}

export const unknown = new Unknown();

/** Values may hold `Secret` and `Unknown` at any depth. */
export type Properties = Record<string, unknown>;

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
/** What stands for an unknown string, boolean, number, array, asset, archive and object. */
const unknownMarks = new Set([
  "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);
const unknownString = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

type Tree = Record<string, unknown>;
export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Secret) &&
  !(value instanceof Unknown);

function fromWire(value: unknown): unknown {
  if (typeof value === "string") return unknownMarks.has(value) ? unknown : value;
  if (Array.isArray(value)) return value.map(fromWire);
  if (!isTree(value)) return value;
  if (value[signatureKey] === secretSignature) return new Secret(fromWire(value.value));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromWire(item)]));
}

function toWire(value: unknown): unknown {
  if (value instanceof Unknown) return unknownString;
  if (value instanceof Secret) return { [signatureKey]: secretSignature, value: toWire(value.reveal()) };
  if (Array.isArray(value)) return value.map((item) => toWire(item ?? null));
  if (!isTree(value)) return value;
  // An undefined in a Struct would fail the whole answer, after the host was changed already.
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, toWire(item)]),
  );
}

export const decode = (struct: Struct | undefined): Properties =>
  struct ? (fromWire(struct.toJavaScript()) as Properties) : {};

export const encode = (properties: Properties): Struct =>
  Struct.fromJavaScript(toWire(properties) as Parameters<typeof Struct.fromJavaScript>[0]);

/** A property without its wrappers. */
export interface Plain {
  value: unknown;
  /** Whether it, or anything in it, was a secret. */
  secret: boolean;
  /** Whether it, or anything in it, is unknown; then `value` is of no use. */
  unknown: boolean;
}

export function plain(value: unknown): Plain {
  if (value instanceof Unknown) return { value: undefined, secret: false, unknown: true };
  if (value instanceof Secret) return { ...plain(value.reveal()), secret: true };
  if (Array.isArray(value)) {
    const items = value.map(plain);
    return { value: items.map((item) => item.value), ...merged(items) };
  }
  if (isTree(value)) {
    const entries = Object.entries(value).map(([key, item]) => [key, plain(item)] as const);
    return {
      value: Object.fromEntries(entries.map(([key, item]) => [key, item.value])),
      ...merged(entries.map(([, item]) => item)),
    };
  }
  return { value, secret: false, unknown: false };
}

const merged = (items: Plain[]): Omit<Plain, "value"> => ({
  secret: items.some((item) => item.secret),
  unknown: items.some((item) => item.unknown),
});

/** Whether two plain values are the same, whatever the order of an object's keys. */
export function equal(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => equal(item, b[i]));
  }
  if (isTree(a) && isTree(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return keys.every((key) => equal(a[key], b[key]));
  }
  return Object.is(a, b);
}
