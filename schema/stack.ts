/**
 * What a stack file may hold: one host pair and its disks. The fields are those of the resource types, so that a
 * rule, a default or a description is written once.
 */
import * as z from "zod";
import { blockDevice } from "./backing";
import { attachment, endpoint, jump, sourceBuild } from "./client";
import { afterUp, beforeDown } from "./commands";
import { connection } from "./connection";
import { filesystem, luks, luksKey, mount, recovery } from "./crypt";
import { field, type Field } from "./define";
import { diskName, luksUuid, smallestDisk, transportField } from "./fields";
import { isObject, valueAt } from "./mistake";
import { nearestOf } from "./nearest";
import { backingFile, diskExport, serverConfig } from "./server";
import { session } from "./session";

function pick<F extends Record<string, Field>, const K extends keyof F & string>(
  fields: F,
  ...keys: K[]
): Pick<F, K> {
  return Object.fromEntries(keys.map((key) => [key, fields[key]])) as unknown as Pick<F, K>;
}

const reach = pick(
  connection,
  "connection",
  "host",
  "port",
  "user",
  "sshConfig",
  "identityFile",
  "privateKey",
  "keyPassphrase",
  "sudoPassword",
  "hostKey",
  "bootTimeout",
);

/** The keys of a stack file by their place; `NAME` is the user's own. */
export const stackFields = {
  server: {
    ...reach,
    endpoint: field(endpoint, {
      doc: "The server's SSH port as the client dials it, HOST:PORT. May be left out when `host` is an address or a full name, and no alias of ssh_config.",
      example: "203.0.113.7:22",
    }),
    ...pick(serverConfig.inputs, "allowList"),
  },
  "server.jump": jump,
  client: reach,
  "client.nbd": pick(sourceBuild.inputs, "repository", "ref"),
  recovery: pick(recovery.inputs, "passphrase"),
  "disks.NAME": {
    name: field(diskName, {
      doc: "Name of the disk on both hosts, where it is not the key itself. Can never change; the key can.",
      example: "photos",
    }),
    transport: transportField,
    ...pick(attachment.inputs, "blockSize", "readAhead"),
    retain: {
      ...session.inputs.retain,
      doc: `With \`transport: session\` only. ${session.inputs.retain.doc}`,
    },
  },
  "disks.NAME.file": pick(backingFile.inputs, "size", "path", "allocation", "loop"),
  "disks.NAME.device": pick(blockDevice.inputs, "path"),
  "disks.NAME.export": pick(diskExport.inputs, "sync", "fua"),
  "disks.NAME.key": { ...pick(luksKey.inputs, "gpg", "passphrase", "bytes"), slot: luks.inputs.keySlot },
  "disks.NAME.luks": pick(
    luks.inputs,
    "type",
    "cipher",
    "keySize",
    "hash",
    "pbkdf",
    "iterTime",
    "sectorSize",
  ),
  "disks.NAME.filesystem": pick(filesystem.inputs, "type", "crc", "finobt"),
  "disks.NAME.mount": pick(mount.inputs, "path", "options"),
  "disks.NAME.afterUp": afterUp,
  "disks.NAME.beforeDown": beforeDown,
} as const;

const order = (doc: string) => field(luksUuid, { doc, example: "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11" });

/** What each order does, whether a stack file or a program gives it. */
const adopted =
  "it is taken over with its data, and not a byte of it is written (docs/adopt.md). Another UUID, and whatever else is in the way, is refused.";
const erased =
  "when it leaves the stack, or the stack is destroyed, its data, key, header and sealed copy are destroyed, for good (docs/erase.md). Recorded by `pulumi up`; another UUID is refused.";

/** Top-level keys that name disks, each with its LUKS UUID; both the key and its lines may be left out. */
export const orders = {
  adopt: order(
    `A disk that was made by hand, by its key under \`disks\`, and its LUKS UUID: ${adopted} Afterwards the line may go.`,
  ),
  erase: order(`The disk, by its key under \`disks\`, and its LUKS UUID: ${erased}`),
} as const;

/** The same orders as arguments of the disk that they are for. */
export const diskOrders = {
  adopt: order(`LUKS UUID of a disk that was made by hand: ${adopted} Afterwards it means nothing.`),
  erase: order(`LUKS UUID of this disk: ${erased}`),
} as const;

export type OrderKey = keyof typeof orders;

type Optional<F extends Record<string, Field>> = { [K in keyof F]: z.ZodOptional<F[K]["schema"]> };

/** All optional: defaults are filled in by `check`, not in the stack file. */
function optional<F extends Record<string, Field>>(fields: F): Optional<F> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, { schema }]) => [key, z.optional(schema)]),
  ) as unknown as Optional<F>;
}

/** Keys that must be there, though no host has to be asked for them. */
export const required: Record<string, string[]> = {
  "server.jump": Object.keys(jump),
  recovery: ["passphrase"],
  "disks.NAME": ["mount"],
  "disks.NAME.file": ["size"],
  "disks.NAME.device": ["path"],
  "disks.NAME.mount": ["path"],
};

/** Keys of which exactly one must be there. */
export const alternatives = { "disks.NAME": ["file", "device"] } as const;

const at = stackFields;

export const diskSection = z.strictObject({
  ...optional(at["disks.NAME"]),
  file: z
    .strictObject({ ...optional(at["disks.NAME.file"]), size: at["disks.NAME.file"].size.schema })
    .optional(),
  device: z.strictObject({ path: at["disks.NAME.device"].path.schema }).optional(),
  export: z.strictObject(optional(at["disks.NAME.export"])).optional(),
  key: z.strictObject(optional(at["disks.NAME.key"])).optional(),
  luks: z.strictObject(optional(at["disks.NAME.luks"])).optional(),
  filesystem: z.strictObject(optional(at["disks.NAME.filesystem"])).optional(),
  mount: z.strictObject({ ...optional(at["disks.NAME.mount"]), path: at["disks.NAME.mount"].path.schema }),
  afterUp: z.strictObject(optional(at["disks.NAME.afterUp"])).optional(),
  beforeDown: z.strictObject(optional(at["disks.NAME.beforeDown"])).optional(),
});

/** The top-level keys and what each must be; `recovery` may also be the word `none`. */
export const sections = {
  server: z.strictObject({
    ...optional(at.server),
    jump: z
      .strictObject({
        endpoint: jump.endpoint.schema,
        user: jump.user.schema,
        identityFile: jump.identityFile.schema,
        hostKey: jump.hostKey.schema,
      })
      .optional(),
  }),
  client: z.strictObject({
    ...optional(at.client),
    nbd: z.strictObject(optional(at["client.nbd"])).optional(),
  }),
  recovery: z.strictObject({ passphrase: at.recovery.passphrase.schema }),
  disks: z.record(z.string(), diskSection),
  erase: z.record(z.string(), orders.erase.schema),
  adopt: z.record(z.string(), orders.adopt.schema),
} as const;

/** A valid stack file as it is written, without defaults. */
export interface StackFile {
  server: z.input<typeof sections.server>;
  client: z.input<typeof sections.client>;
  recovery: "none" | z.input<typeof sections.recovery>;
  disks: Record<string, z.input<typeof diskSection>>;
  erase?: Record<string, string>;
  adopt?: Record<string, string>;
}

/** Places of stackFields whose values must be encrypted in the stack file. */
const secretPlaces = Object.entries<Record<string, Field>>(stackFields).flatMap(([place, fields]) =>
  Object.keys(fields)
    .filter((key) => fields[key]?.secret)
    .map((key) => [...place.split("."), key]),
);

/** The values of a stack file that must be encrypted. */
export function secretPaths(values: Record<string, unknown>): string[][] {
  const disks = Object.keys(isObject(values.disks) ? values.disks : {});
  const paths = secretPlaces.flatMap((place) =>
    place[0] === "disks" ? disks.map((disk) => ["disks", disk, ...place.slice(2)]) : [place],
  );
  return paths.filter((path) => valueAt(values, path) !== undefined);
}

export type Place = keyof typeof stackFields;

/** Sections directly below a place: `client` → `nbd`. */
export const sectionsBelow = (place: Place): [key: string, place: Place][] =>
  (Object.keys(stackFields) as Place[])
    .filter((it) => it.startsWith(`${place}.`) && !it.slice(place.length + 1).includes("."))
    .map((it) => [it.slice(place.length + 1), it]);

/**
 * Keys by which a component decides what it makes, or that it takes apart or puts into names: a program must give them
 * plainly. An output, which is anything and true, would be taken for something else.
 */
const plainKeys: Partial<Record<Place, string[]>> = {
  client: ["nbd"],
  "disks.NAME": ["name", "transport", ...sectionsBelow("disks.NAME").map(([key]) => key)],
  "disks.NAME.file": ["loop"],
};

export const isPlainKey = (place: Place, key: string): boolean => plainKeys[place]?.includes(key) === true;

/** The paths of such keys, from a place on. */
export const plainPaths = (place: Place): string[][] => [
  ...(plainKeys[place] ?? []).map((key) => [key]),
  ...sectionsBelow(place).flatMap(([key, below]) => plainPaths(below).map((path) => [key, ...path])),
];

/** What each section is for. */
export const placeDocs: Record<Place, string> = {
  server:
    "The rented host that stores the bytes: Debian or Ubuntu, with an SSH login as root or with sudo. It never sees a key or a readable byte.",
  "server.jump":
    "The host through which the client reaches the server, where it cannot dial it itself. How this machine gets to the server is its own affair (`ProxyJump` in ssh_config).",
  client:
    "The host that mounts the disks: `connection: local` for the machine that runs Pulumi, or a `host`.",
  "client.nbd": "The nbd that is built on the client.",
  recovery:
    "The copy of each disk's key in the stack's state is sealed with this passphrase: with it and the state, another machine can read the disks when the client is lost. `recovery: none` keeps no copy.",
  "disks.NAME": "One disk. Its key is its name on both hosts, unless it has another `name`.",
  "disks.NAME.file": "The file on the server that holds the disk.",
  "disks.NAME.device": `A real disk of the server, instead of a file: it must be blank and have ${smallestDisk} or more, and nothing on the server may use it.`,
  "disks.NAME.export":
    "How nbd-server serves the disk, with `transport: forward` only: parameters of nbd-server(5).",
  "disks.NAME.key":
    "The disk's key: random bytes in a file that only root of the client can read, or sealed with a passphrase.",
  "disks.NAME.luks": "The encryption: parameters of cryptsetup.",
  "disks.NAME.filesystem": "The file system: parameters of mkfs.",
  "disks.NAME.mount": "Where the client mounts the disk.",
  "disks.NAME.afterUp":
    "Commands of your own once the disk is mounted: when it is made, when the command is another, or when another machine takes the host's place (docs/commands.md). A reboot runs none.",
  "disks.NAME.beforeDown":
    "Commands of your own before the disk is taken down for good: by `pulumi destroy`, or when it is removed from the stack.",
};

/** Which of the places of stackFields a path is: `disks.photos` is `disks.NAME`. */
export const placeOf = (path: readonly string[]): string[] =>
  path[0] === "disks" && path.length > 1 ? ["disks", "NAME", ...path.slice(2)] : [...path];

/** The keys at one of the places of stackFields, none where it is not one. */
export const fieldsAt = (place: readonly string[]): Record<string, Field> =>
  (stackFields as Partial<Record<string, Record<string, Field>>>)[place.join(".")] ?? {};

const looksSecret = /pass|phrase|secret|key|token|pwd/i;

/**
 * Whether no message may show the value at a path: it is a secret, or it may be one that was put in the wrong place
 * or under a misspelled key.
 */
export function isSecretPath(path: readonly string[]): boolean {
  if (nearestOf(path[0] ?? "", ["recovery"]) !== undefined) return true;
  const places = placeOf(path);
  for (let end = places.length - 1; end > 0; end--) {
    const known = fieldsAt(places.slice(0, end))[places[end] ?? ""];
    if (known) return known.secret;
  }
  return places.some((key) => looksSecret.test(key));
}
