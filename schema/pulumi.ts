/**
 * The Pulumi schema of the package (schema.json), for programs in YAML, other languages and the registry.
 * Written by `npm run schema`; a test fails while the committed file differs.
 */
import * as z from "zod";
import { connection } from "./connection";
import { type Definition, type Field, laterChange } from "./define";
import { definitions } from "./index";
import { conditionsOf, ownershipOutputs } from "./ownership";

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
  const observed = Object.entries(definition.inputs).filter(([, field]) => field.role !== "unobserved");
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
    resources: Object.fromEntries(types.map((definition) => [definition.token, resource(definition)])),
  };
}

/** schema.json, byte for byte. */
export const schemaText = (version: string): string => `${JSON.stringify(pulumiSchema(version), null, 2)}\n`;
