/**
 * stacks/stack.schema.json: what an editor knows about a stack file while it is written. The same definitions check
 * the file; what JSON Schema cannot say (two disks with one name) is left to that check.
 */
import * as z from "zod";
import type { Field } from "./define";
import { sizePattern } from "./size";
import { alternatives, orders, placeDocs, required, sectionsBelow, stackFields, type Place } from "./stack";

type Json = Record<string, unknown>;

/** `{ secure: … }`: how Pulumi writes an encrypted value. */
const encrypted: Json = {
  type: "object",
  properties: { secure: { type: "string" } },
  required: ["secure"],
  additionalProperties: false,
};

function value(path: string, field: Field): Json {
  const description = field.doc;
  if (field.secret) {
    const how = `Write it with \`pulumi config set --secret --path ${path}\`.`;
    return { ...encrypted, description: `${description} ${how}` };
  }
  const { $schema: _, ...json } = z.toJSONSchema(field.schema, {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
  });
  // JSON Schema knows no sizes: text with a spelling of its own.
  const inner = field.schema instanceof z.ZodDefault ? field.schema.unwrap() : field.schema;
  const typed =
    inner instanceof z.ZodCustom ? { ...json, type: "string", pattern: sizePattern.source } : json;
  return { ...typed, description, ...(field.example !== undefined && { examples: [field.example] }) };
}

/** A section with its keys and the sections in it. */
function section(place: Place): Json {
  const keys = Object.entries<Field>(stackFields[place]).map(([key, field]) => [
    key,
    value(`${place}.${key}`, field),
  ]);
  const sections = sectionsBelow(place).map(([key, inside]) => [key, section(inside)]);
  return {
    type: "object",
    description: placeDocs[place],
    properties: Object.fromEntries([...keys, ...sections]) as Json,
    required: required[place] ?? [],
    ...(place in alternatives && {
      oneOf: alternatives[place as keyof typeof alternatives].map((key) => ({ required: [key] })),
    }),
    additionalProperties: false,
  };
}

function stackSchema(project: string): Json {
  const sections: Json = {
    server: section("server"),
    client: section("client"),
    recovery: { description: placeDocs.recovery, anyOf: [{ const: "none" }, section("recovery")] },
    disks: {
      type: "object",
      description: "The disks, each under its name.",
      minProperties: 1,
      additionalProperties: section("disks.NAME"),
    },
  };
  const orderKeys: Json = Object.fromEntries(
    Object.entries<Field>(orders).map(([key, field]) => [
      key,
      {
        type: "object",
        description: field.doc,
        additionalProperties: value(`${key}.NAME`, field),
      },
    ]),
  );
  const every = { ...sections, ...orderKeys };
  const prefixed = Object.entries(every).map(([key, schema]) => [`${project}:${key}`, schema]);
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "A stack of netdisk: one server, one client and their disks",
    type: "object",
    properties: {
      config: {
        type: "object",
        properties: { ...every, ...(Object.fromEntries(prefixed) as Json) },
        // Keys of other packages, such as aws:region.
        patternProperties: { [`^(?!${project}:)[^:]+:.+$`]: {} },
        additionalProperties: false,
        allOf: Object.keys(sections).map((key) => ({
          anyOf: [{ required: [key] }, { required: [`${project}:${key}`] }],
        })),
      },
      // Pulumi's own.
      encryptionsalt: { type: "string" },
      encryptedkey: { type: "string" },
      secretsprovider: { type: "string" },
      environment: {},
    },
    required: ["config"],
    additionalProperties: false,
  };
}

/** The file, byte for byte. */
export const stackSchemaText = (project: string): string =>
  `${JSON.stringify(stackSchema(project), null, 2)}\n`;
