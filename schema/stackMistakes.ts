/** Checks a stack file: every mistake at once, each with its path and its cure. Pure. */
import * as z from "zod";
import { endpointCure, isPlainAddress } from "./endpoint";
import { diskName } from "./fields";
import { nearest } from "./nearest";
import { backingFile } from "./paths";
import { sections, type StackFile } from "./stack";

/** `server.host: …`: one mistake. */
type Line = string;

/** What to write where a whole section is missing. */
const missing: Record<keyof typeof sections, string> = {
  server: "Name the host that stores the bytes: `server: { host: … }`.",
  client: "Name the host that mounts the disks: `client: { host: … }`, or `client: { connection: local }`.",
  recovery:
    "Run `pulumi config set --secret --path recovery.passphrase` and keep the passphrase where you find it without the client, or say `recovery: none`.",
  disks: "Describe at least one: `disks: { NAME: { file: { size: 20 GiB }, mount: { path: /mnt/NAME } } }`.",
};

/** The keys that an object may have at a path below a schema. */
function keysAt(schema: unknown, path: PropertyKey[]): string[] {
  if (schema instanceof z.ZodOptional) return keysAt(schema.unwrap(), path);
  const [first, ...rest] = path;
  if (schema instanceof z.ZodRecord) return keysAt(schema.valueType, rest);
  if (!(schema instanceof z.ZodObject)) return [];
  const shape = schema.shape as Record<string, unknown>;
  return first === undefined ? Object.keys(shape) : keysAt(shape[String(first)], rest);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function at(value: unknown, path: PropertyKey[]): unknown {
  return path.reduce((inner, key) => (isObject(inner) ? inner[String(key)] : undefined), value);
}

/** What was found, where it is short and cannot be a secret. */
function found(value: unknown, path: PropertyKey[]): string {
  const secret = path.some((key) => key === "passphrase" || key === "privateKey");
  return !secret && ["string", "number", "boolean"].includes(typeof value)
    ? ` (found ${JSON.stringify(value)})`
    : "";
}

function linesOf(section: string, schema: z.ZodType, value: unknown): Line[] {
  const issues = schema.safeParse(value).error?.issues ?? [];
  return issues.flatMap((issue) => {
    const path = [section, ...issue.path].map(String).join(".");
    if (issue.code === "unrecognized_keys") {
      const known = keysAt(schema, issue.path);
      return issue.keys.map((key) => `${path}.${key}: unknown key${nearest(key, known)}`);
    }
    const inner = at(value, issue.path);
    if (inner === undefined) return [`${path}: is missing`];
    return [`${path}: ${issue.message}${found(inner, issue.path)}`];
  });
}

/** Rules about one host's keys together. */
function hostLines(section: "server" | "client", value: Record<string, unknown>): Line[] {
  const local = value.connection === "local";
  if (!local && value.host === undefined) {
    return [
      `${section}.host: is missing. Name the host, or say \`connection: local\` for the machine that runs Pulumi.`,
    ];
  }
  if (local && value.host !== undefined) {
    return [`${section}.host: does not go with \`connection: local\`. Remove one of the two.`];
  }
  if (section === "server" && value.endpoint === undefined) {
    if (local) return [`server.endpoint: is missing. ${endpointCure}`];
    if (typeof value.host === "string" && !isPlainAddress(value.host)) {
      return [
        `server.endpoint: is missing: "${value.host}" may be an alias that only this machine knows. ${endpointCure}`,
      ];
    }
  }
  if (value.privateKey !== undefined && value.identityFile !== undefined) {
    return [`${section}.privateKey: does not go with identityFile. Remove one of the two.`];
  }
  return [];
}

/** The keys of the map are names unless the disk has another. */
function nameLines(disks: Record<string, unknown>): Line[] {
  return Object.entries(disks)
    .filter(([, disk]) => at(disk, ["name"]) === undefined)
    .flatMap(([key]) =>
      (diskName.safeParse(key).error?.issues ?? []).map(
        ({ message }) =>
          `disks.${key}.name: ${message} (found "${key}"). Rename the disk, or give it a \`name\`.`,
      ),
    );
}

/** What two disks may not share. */
function sharedLines(disks: Record<string, unknown>): Line[] {
  const lines: Line[] = [];
  const taken = new Map<string, string>();
  for (const [key, disk] of Object.entries(disks)) {
    const given = at(disk, ["name"]);
    const name = typeof given === "string" ? given : key;
    const uses = {
      name,
      "file.path": at(disk, ["file", "path"]) ?? backingFile(name),
      "mount.path": at(disk, ["mount", "path"]),
    };
    for (const [property, use] of Object.entries(uses)) {
      if (typeof use !== "string") continue;
      const other = taken.get(`${property} ${use}`);
      if (other === undefined) taken.set(`${property} ${use}`, key);
      else lines.push(`disks.${key}.${property}: is that of disks.${other} too. Give each disk its own.`);
    }
  }
  return lines;
}

/**
 * Everything that is wrong with the configuration of a stack, one line per mistake.
 * @param raw the top-level keys with their values, as the stack file has them
 */
export function stackMistakes(raw: Record<string, unknown>): Line[] {
  const lines: Line[] = [];
  const known = Object.keys(sections);
  for (const key of Object.keys(raw)) {
    if (!known.includes(key)) lines.push(`${key}: unknown key${nearest(key, known)}`);
  }
  for (const [key, schema] of Object.entries(sections)) {
    const value = raw[key];
    if (value === undefined) {
      lines.push(`${key}: is missing. ${missing[key as keyof typeof sections]}`);
      continue;
    }
    if (key === "recovery" && !isObject(value)) {
      if (value !== "none") lines.push("recovery: must be `none` or hold a `passphrase`");
      continue;
    }
    lines.push(...linesOf(key, schema, value));
    if ((key === "server" || key === "client") && isObject(value)) lines.push(...hostLines(key, value));
  }
  if (isObject(raw.disks)) {
    lines.push(...nameLines(raw.disks), ...sharedLines(raw.disks));
    if (Object.keys(raw.disks).length === 0) lines.push(`disks: is empty. ${missing.disks}`);
  }
  return lines;
}

/** Fixes the type once there are no mistakes. */
export function isStackFile(raw: Record<string, unknown>): raw is Record<string, unknown> & StackFile {
  return stackMistakes(raw).length === 0;
}
