/**
 * What is wrong with arguments, all of it at once and before anything is registered, by the rules of the stack file.
 * Values that other resources have yet to produce are left to the provider.
 */
import * as pulumi from "@pulumi/pulumi";
import * as z from "zod";
import { commandHosts, commandMistakes } from "../schema/commands";
import type { Field } from "../schema/define";
import { sharedUses, type Taken, takeUses } from "../schema/diskUses";
import { diskName, luksUuid } from "../schema/fields";
import { formatPath, isEmpty, mistakesIn, valueAt, withoutEchoes, type Mistake } from "../schema/mistake";
import { diskSection, isSecretPath, plainPaths, sections } from "../schema/stack";
import { exampleOf, hostMistakes, togetherMistakes } from "../schema/stackMistakes";

type Args = Record<string, unknown>;

const unknown = Symbol("not known yet");

/** The arguments with a mark in the place of what is not known yet. Instances of classes stay as they are. */
function plain(value: unknown): unknown {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) return unknown;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** Whether a value, or what it lies in, is not known yet. */
const isUnknown = (args: Args, path: string[]): boolean =>
  path.some((_, i) => valueAt(args, path.slice(0, i + 1)) === unknown);

interface Rules {
  schema: z.ZodType;
  /** Whether the value at a path is a secret. */
  isSecret: (path: string[]) => boolean;
  exampleOf?: (path: string[]) => string | undefined;
  /** What may be no output. */
  plainly?: string[][];
  /** Rules about several arguments together. */
  together?: (args: Args) => Mistake[];
}

const output = (path: string[]): Mistake => ({
  path,
  text: "must not be an output: which resources there are depends on it. Give it a value that the program knows, such as one of its configuration; values inside of a section may be outputs.",
  at: "value",
});

/** @throws pulumi.RunError, which prints no stack trace, naming every mistake with its property path. */
function refuse(what: string, given: object, rules: Rules): void {
  const { schema, isSecret, exampleOf, plainly = [], together } = rules;
  const args = plain(given) as Args;
  const all = [
    ...mistakesIn(schema, args, [], { mayShow: (path) => !isSecret(path), exampleOf }),
    ...(together?.(args) ?? []),
  ];
  const outputs = plainly.filter((path) => valueAt(args, path) === unknown).map(output);
  const lines = [...withoutEchoes(all).filter(({ path }) => !isUnknown(args, path)), ...outputs].map(
    ({ path, text }) => `  ${formatPath(path)}: ${text}`,
  );
  if (lines.length === 0) return;
  throw new pulumi.RunError([`${what}:`, ...new Set(lines)].join("\n"));
}

/** Arguments of one resource or provider. */
export function refuseMistakes(what: string, fields: Record<string, Field>, args: object): void {
  const schema = z.strictObject(
    Object.fromEntries(Object.entries(fields).map(([key, it]) => [key, it.schema])),
  );
  refuse(what, args, { schema, isSecret: ([key = ""]) => fields[key]?.secret !== false });
}

type Role = "server" | "client";

const called = (role: Role, name: string) => `${role === "server" ? "Server" : "Client"} "${name}"`;

/** Arguments of a Server or a Client. */
export function refuseHostMistakes(role: Role, name: string, args: object): void {
  const place = placeOf(role, plain(args) as Args);
  const made = takenBy(runOf());
  refuse(called(role, name), args, {
    schema: sections[role],
    isSecret: (path) => isSecretPath([role, ...path]),
    plainly: plainPaths(role),
    together: (args) => [
      ...(args.connection === unknown ? [] : hostMistakes(role, args, [], { mayShow: () => true })),
      ...sameHost(role, name, place, made),
    ],
  });
  if (place) made.set(place.host, name);
}

let onlyRun: object | undefined;

/** For a process that works for one run of a program: it is told no stack, and has another monitor for each component. */
export const haveOneRun = (): void => void (onlyRun = {});

/** The run of a program: a process has several with the Automation API, and with mocks. */
const runOf = (): object =>
  onlyRun ?? pulumi.runtime.getStackResource() ?? (pulumi.runtime.getMonitor() as object | undefined) ?? {};

interface HostPlace {
  /** What says which host it is. */
  property: string;
  host: string;
}

/** Undefined where it is not known yet. That two names lead to one host is not seen. */
function placeOf(role: Role, { connection = "ssh", host, port, sshConfig }: Args): HostPlace | undefined {
  if (connection === "local") return { property: "connection", host: `${role} local` };
  const way = [connection, host, port, sshConfig];
  if (typeof host !== "string" || way.includes(unknown)) return undefined;
  return { property: "host", host: `${role} ${JSON.stringify(way)}` };
}

/** Two of a kind would have the same things on the host, and take them from each other in each run. */
function sameHost(role: Role, name: string, place: HostPlace | undefined, made: Taken): Mistake[] {
  const other = place && made.get(place.host);
  // The same name is the engine's to refuse.
  if (!place || other === undefined || other === name) return [];
  const text = `is that of ${called(role, other)} too. Make one for each host, and give that to all its disks.`;
  return [{ path: [place.property], text, at: "value" }];
}

const diskArguments = diskSection.extend({
  server: z.unknown().optional(),
  client: z.unknown().optional(),
  recovery: z.unknown().optional(),
  erase: luksUuid.optional(),
  adopt: luksUuid.optional(),
});

/** What the disks so far have for themselves, by the Server or Client that they were given; and these, by the run. */
const takenOn = new WeakMap<object, Taken>();

/** Arguments of an EncryptedDisk. */
export function refuseDiskMistakes(resourceName: string, args: object): void {
  const disk = plain(args) as Args;
  const name = typeof disk.name === "string" ? disk.name : resourceName;
  const hosts = { server: takenBy(disk.server), client: takenBy(disk.client) };
  refuse(`EncryptedDisk "${resourceName}"`, args, {
    schema: diskArguments,
    isSecret: (path) => isSecretPath(path[0] === "recovery" ? path : ["disks", "NAME", ...path]),
    exampleOf: (path) => exampleOf(["disks", "NAME", ...path]),
    plainly: plainPaths("disks.NAME"),
    together: (args) => [
      ...["server", "client"].filter((key) => isEmpty(args[key])).map(missing),
      ...nameMistakes(resourceName, args),
      ...recoveryMistakes(args.recovery),
      ...togetherMistakes(args, []),
      ...commandMistakes(args, [], connectionsOf(args)),
      ...sharedUses({ name, disk, root: [] }, hosts, (other) => `EncryptedDisk "${other}"`),
    ],
  });
  takeUses(resourceName, name, disk, hosts);
}

function takenBy(owner: unknown): Taken {
  if (typeof owner !== "object" || owner === null) return new Map();
  const taken = takenOn.get(owner) ?? new Map<string, string>();
  takenOn.set(owner, taken);
  return taken;
}

/** How the hosts that a disk was given are reached. */
const connectionsOf = (args: Args): Args =>
  Object.fromEntries(commandHosts.map((key) => [key, plain(valueAt(args, [key, "connection"]))]));

const missing = (key: string): Mistake => ({
  path: [key],
  text: `is missing. Give it the ${key === "server" ? "Server" : "Client"}.`,
  at: "section",
});

/** The resource's own name is the disk's, unless it has another. */
function nameMistakes(resourceName: string, args: Args): Mistake[] {
  if (args.name !== undefined) return [];
  const issues = diskName.safeParse(resourceName).error?.issues ?? [];
  return issues.map(({ message }) => ({
    path: ["name"],
    text: `${message}. Rename the resource, or give it a \`name\`.`,
    at: "key",
  }));
}

function recoveryMistakes(recovery: unknown): Mistake[] {
  if (recovery === "none" || recovery === unknown) return [];
  if (typeof recovery !== "object" || recovery === null) {
    return [{ path: ["recovery"], text: 'must be "none" or hold a `passphrase`', at: "value" }];
  }
  return mistakesIn(sections.recovery, recovery, ["recovery"], { mayShow: () => false });
}
