/**
 * The Pulumi schema of the package (schema.json), for programs in YAML, other languages and the registry.
 * Written by `npm run schema`; a test fails while the committed file differs.
 */
import * as z from "zod";
import { components, requiredOf as requiredOfComponent, type Component } from "./components";
import { connection } from "./connection";
import { type Definition, type Field, isObserved, laterChange } from "./define";
import { definitions } from "./index";
import { conditionsOf, ownershipOutputs } from "./ownership";
import { isPlainKey, placeDocs, required, sectionsBelow, stackFields, type Place } from "./stack";

type Json = Record<string, unknown>;

/** Pulumi knows fewer types than JSON Schema: enumerations and patterns are left to `check`. */
function pulumiType(schema: Json): Json {
  if (schema.type === "array") return { type: "array", items: pulumiType(schema.items as Json) };
  if (schema.type === "object") {
    // Keys that are fixed are left to `check` too; then the values are text.
    return { type: "object", additionalProperties: pulumiType((schema.additionalProperties || {}) as Json) };
  }
  const values = (schema.enum ?? ("const" in schema ? [schema.const] : undefined)) as unknown[] | undefined;
  if (values?.every(Number.isInteger)) return { type: "integer" };
  if (schema.type === "integer" || schema.type === "number" || schema.type === "boolean") {
    return { type: schema.type };
  }
  // What JSON Schema cannot say (a size) is text with a spelling of its own.
  return { type: "string" };
}

/** Sentences that the fields' own doc leaves to be told from the definition. */
function remarks(field: Field, io: "input" | "output"): string[] {
  if (io === "output") return [];
  const schema = z.toJSONSchema(field.schema, { io, unrepresentable: "any" }) as Json;
  const values = schema.enum as unknown[] | undefined;
  const fallback = field.schema.safeParse(undefined);
  return [
    values ? `One of ${values.map((value) => `\`${String(value)}\``).join(", ")}.` : "",
    fallback.success && fallback.data !== undefined ? `Default: \`${JSON.stringify(fallback.data)}\`.` : "",
    field.example === undefined ? "" : `Example: \`${JSON.stringify(field.example)}\`.`,
    laterChange(field),
    (field.role === "fixed" && field.cure) || "",
  ].filter((text) => text !== "");
}

function property(field: Field, io: "input" | "output"): Json {
  const schema = z.toJSONSchema(field.schema, { io, unrepresentable: "any" }) as Json;
  return {
    ...pulumiType(schema),
    description: [field.doc, ...remarks(field, io)].join(" "),
    ...(field.secret && { secret: true }),
  };
}

const properties = (fields: Record<string, Field>, io: "input" | "output"): Json =>
  Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, property(field, io)]));

const requiredOf = (fields: Record<string, Field>): string[] =>
  Object.keys(fields).filter((key) => !fields[key]?.schema.safeParse(undefined).success);

function resource(definition: Definition): Json {
  const observed = Object.entries(definition.inputs).filter(([, field]) => isObserved(field));
  const outputs = { ...Object.fromEntries(observed), ...definition.outputs, ...ownershipOutputs };
  const conditions = Object.entries(conditionsOf(definition)).map(([key, { value, doc }]) => [
    key,
    { type: typeof value, description: `${doc} In order: \`${JSON.stringify(value)}\`.` },
  ]);
  const all = { ...properties(outputs, "output"), ...(Object.fromEntries(conditions) as Json) };
  return {
    description: definition.doc,
    properties: all,
    required: Object.keys(all),
    inputProperties: properties(definition.inputs, "input"),
    requiredInputs: requiredOf(definition.inputs),
  };
}

/** `disks.NAME.file` → `netdisk:index:DiskFileArgs` */
const typeOf = (place: Place): string =>
  `netdisk:index:${place
    .replace("disks.NAME", "disk")
    .split(".")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("")}Args`;

const reference = (place: Place): Json => ({
  $ref: `#/types/${typeOf(place)}`,
  description: placeDocs[place],
});

/** The keys of a section of the stack file, those of its own sections included. */
function keysOf(place: Place): Json {
  const keys = {
    ...properties(stackFields[place], "input"),
    ...Object.fromEntries(sectionsBelow(place).map(([key, below]) => [key, reference(below)])),
  };
  return Object.fromEntries(
    Object.entries(keys).map(([key, it]) => [
      key,
      isPlainKey(place, key) ? { ...(it as Json), plain: true } : it,
    ]),
  );
}

function argument({ doc, component, place }: Component["more"][string]): Json {
  if (component !== undefined) return { $ref: `#/resources/netdisk:index:${component}`, description: doc };
  // One word instead of the section: `recovery: none`.
  return { oneOf: [{ type: "string" }, { $ref: `#/types/${typeOf(place as Place)}` }], description: doc };
}

function component(it: Component): Json {
  return {
    isComponent: true,
    description: it.doc,
    properties: properties(it.outputs, "output"),
    inputProperties: {
      ...keysOf(it.place),
      ...properties(it.orders, "input"),
      ...Object.fromEntries(Object.entries(it.more).map(([key, more]) => [key, argument(more)])),
    },
    requiredInputs: requiredOfComponent(it),
  };
}

/** The sections that are an argument of a component, or of another section. */
const isObject = (place: Place): boolean => !Object.values(components).some((it) => it.place === place);

const objectType = (place: Place): Json => ({
  type: "object",
  description: placeDocs[place],
  properties: keysOf(place),
  ...(required[place] && { required: required[place] }),
});

export function pulumiSchema(version: string): Json {
  const types: Definition[] = Object.values(definitions);
  return {
    name: "netdisk",
    displayName: "netdisk",
    version,
    description: "Encrypted network block devices, as code.",
    license: "Apache-2.0",
    provider: {
      description: "One host. Its configuration is how the operator's machine reaches it.",
      inputProperties: properties(connection, "input"),
      requiredInputs: requiredOf(connection),
    },
    types: Object.fromEntries(
      (Object.keys(stackFields) as Place[])
        .filter(isObject)
        .map((place) => [typeOf(place), objectType(place)]),
    ),
    resources: Object.fromEntries([
      ...Object.entries(components).map(([name, it]) => [`netdisk:index:${name}`, component(it)] as const),
      ...types.map((definition) => [definition.token, resource(definition)] as const),
    ]),
  };
}

/** schema.json, byte for byte. */
export const schemaText = (version: string): string => `${JSON.stringify(pulumiSchema(version), null, 2)}\n`;
