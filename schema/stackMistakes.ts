/** Checks the configuration of a stack: every mistake at once, each with its path and its cure. Pure. */
import { commandMistakes } from "./commands";
import { sharedUses, type Taken, takeUses } from "./diskUses";
import { hostCure } from "./connection";
import { endpointCure, isPlainAddress } from "./endpoint";
import { diskName } from "./fields";
import {
  formatPath,
  isEmpty,
  isObject,
  mistakesIn,
  plainText,
  unknownKey,
  valueAt,
  withoutEchoes,
  type Mistake,
  type Reading,
} from "./mistake";
import { luksMistakes } from "./luksChoices";
import {
  alternatives,
  fieldsAt,
  isSecretPath,
  type OrderKey,
  orders,
  placeOf,
  required,
  sections,
  stackFields,
  type StackFile,
} from "./stack";

type Section = keyof typeof sections;

/** What to write where a whole section is missing. */
const missing: Record<Exclude<Section, OrderKey>, string> = {
  server: "Name the host that stores the bytes: `server: { host: … }`.",
  client: "Name the host that mounts the disks: `client: { host: … }`, or `client: { connection: local }`.",
  recovery:
    "Run `pulumi config set --secret --path recovery.passphrase` and keep the passphrase where you find it without the client, or say `recovery: none`.",
  disks: "Describe at least one: `disks: { NAME: { file: { size: 20 GiB }, mount: { path: /mnt/NAME } } }`.",
};

/** The sections that have a key of this name: `size` → `disks.NAME.file`. */
export function homesOf(key: string): string[] {
  const homes = Object.entries(stackFields)
    .filter(([, fields]) => key in fields)
    .map(([place]) => place);
  const inside = Object.keys(stackFields).filter((place) => place.endsWith(`.${key}`));
  return [...homes, ...inside.map((place) => place.slice(0, -key.length - 1))];
}

/** `disks.photos.file` → `file: { size: 20 GiB }`. */
export function exampleOf(path: string[]): string | undefined {
  const place = placeOf(path);
  const key = place.at(-1) ?? "";
  const example = fieldsAt(place.slice(0, -1))[key]?.example;
  if (example !== undefined) return `\`${key}: ${plainText(example)}\``;
  const inner = fieldsAt(place);
  const needed = (required[place.join(".")] ?? []).map(
    (must) => `${must}: ${plainText(inner[must]?.example)}`,
  );
  return needed.length > 0 ? `\`${key}: { ${needed.join(", ")} }\`` : undefined;
}

/** Rules about one host's keys together. */
export function hostMistakes(
  section: "server" | "client",
  value: Record<string, unknown>,
  root: string[],
  { mayShow }: Reading,
): Mistake[] {
  const at = (key: string, text: string, how: Mistake["at"]): Mistake[] => [
    { path: [...root, key], text, at: how },
  ];
  const given = (key: string) => !isEmpty(value[key]);
  const local = value.connection === "local";
  if (value.host === undefined && !local) {
    return at("host", `is missing. ${hostCure}`, "section");
  }
  if (local && given("host")) {
    return at("host", "does not go with `connection: local`. Remove one of the two.", "key");
  }
  if (given("privateKey") && given("identityFile")) {
    return at("privateKey", "does not go with identityFile. Remove one of the two.", "key");
  }
  if (section === "server" && value.endpoint === undefined) {
    if (local) return at("endpoint", `is missing. ${endpointCure}`, "section");
    if (typeof value.host === "string" && given("host") && !isPlainAddress(value.host)) {
      const host = mayShow([...root, "host"]) ? `"${value.host}"` : "the host";
      const why = `is missing: ${host} may be an alias that only this machine knows`;
      return at("endpoint", `${why}. ${endpointCure}`, "section");
    }
  }
  return [];
}

/** The keys of the map are names unless the disk has another. */
function nameMistakes(disks: Record<string, unknown>): Mistake[] {
  return Object.entries(disks)
    .filter(([, disk]) => isObject(disk) && disk.name === undefined)
    .flatMap(([key]) =>
      (diskName.safeParse(key).error?.issues ?? []).map(({ message }): Mistake => {
        const text = `${message}. Rename the disk, or give it a \`name\`.`;
        return { path: ["disks", key], text, at: "key" };
      }),
    );
}

/** A disk lies in a file or on a device: in exactly one of them. */
function backingMistakes(disk: Record<string, unknown>, root: string[]): Mistake[] {
  const [file, device] = alternatives["disks.NAME"];
  const given = (key: string) => disk[key] !== undefined;
  if (given(file) && given(device)) {
    const text = `does not go with ${file}. Remove one of the two.`;
    return [{ path: [...root, device], text, at: "key" }];
  }
  if (given(file) || given(device)) return [];
  const [one, other] = [file, device].map((key) => exampleOf(["disks", "NAME", key]) ?? key);
  return [{ path: [...root, file], text: `is missing, such as ${one}, or ${other}`, at: "section" }];
}

/** What two disks may not share. */
function sharedMistakes(disks: Record<string, unknown>): Mistake[] {
  const taken: Taken = new Map();
  const hosts = { server: taken, client: taken };
  return Object.entries(disks).flatMap(([key, disk]) => {
    const given = valueAt(disk, ["name"]);
    const name = typeof given === "string" ? given : key;
    const found = sharedUses({ name, disk, root: ["disks", key] }, hosts, (other) =>
      formatPath(["disks", other]),
    );
    takeUses(key, name, disk, hosts);
    return found;
  });
}

/** Rules about the keys of one disk together. */
export function togetherMistakes(disk: unknown, root: string[]): Mistake[] {
  const luks = valueAt(disk, ["luks"]);
  const choices = luksMistakes(isObject(luks) ? luks : {}).map(({ property, reason }): Mistake => ({
    path: [...root, "luks", property],
    text: reason,
    at: "value",
  }));
  return [
    ...(isObject(disk) ? backingMistakes(disk, root) : []),
    ...choices,
    ...transportMistakes(disk, root),
    ...keyMistakes(valueAt(disk, ["key"]), [...root, "key"]),
  ];
}

/** What only one of the transports has. */
function transportMistakes(disk: unknown, root: string[]): Mistake[] {
  const forward = valueAt(disk, ["transport"]) === "forward";
  const [key, text] = forward
    ? ["retain", "does not go with `transport: forward`, which keeps nothing. Remove one of the two."]
    : [
        "export",
        "goes with `transport: forward` only: a session keeps what is not flushed, and carries out FUA itself. Remove it.",
      ];
  return isEmpty(valueAt(disk, [key])) ? [] : [{ path: [...root, key], text, at: "key" }];
}

function keyMistakes(key: unknown, root: string[]): Mistake[] {
  const given = (name: string) => !isEmpty(valueAt(key, [name]));
  if (given("gpg") === given("passphrase")) return [];
  const path = [...root, "passphrase"];
  return given("gpg")
    ? [
        {
          path,
          text: `is missing. Run \`pulumi config set --secret --path ${formatPath(path)}\`.`,
          at: "section",
        },
      ]
    : [
        {
          path,
          text: "belongs to a sealed key file. Name that in `gpg`, or remove the passphrase.",
          at: "key",
        },
      ];
}

const isOrder = (section: Section): section is OrderKey => section in orders;

/** A disk is adopted only as long as it is in the stack: a line for any other is misspelled. */
function adoptMistakes(adopt: unknown, disks: unknown): Mistake[] {
  if (!isObject(adopt) || !isObject(disks)) return [];
  return Object.keys(adopt)
    .filter((key) => !(key in disks))
    .map((key): Mistake => {
      const text = `is no disk under \`disks\`, which has ${Object.keys(disks).join(", ")}. Describe the disk there, correct the name, or remove the line.`;
      return { path: ["adopt", key], text, at: "key" };
    });
}

function sectionMistakes(section: Section, value: unknown, reading: Reading): Mistake[] {
  const path: string[] = [section];
  // A disk that has left the stack may still have its line: the run that removed it needed it.
  if (isOrder(section)) return value === undefined ? [] : mistakesIn(sections[section], value, path, reading);
  if (value === undefined) return [{ path, text: `is missing. ${missing[section]}`, at: "section" }];
  // The engine hands on an empty key as "".
  if (isEmpty(value)) return [{ path, text: `is empty. ${missing[section]}`, at: "key" }];
  if (section === "recovery" && !isObject(value)) {
    if (value === "none") return [];
    return [{ path, text: "must be `none` or hold a `passphrase`", at: "value" }];
  }
  const found = mistakesIn(sections[section], value, path, reading);
  if (!isObject(value)) return found;
  if (section === "recovery" && value.passphrase === undefined) {
    return [
      ...found.filter(({ at }) => at !== "section"),
      { path: [section, "passphrase"], text: `is missing. ${missing.recovery}`, at: "section" },
    ];
  }
  if (section === "server" || section === "client") {
    return [...found, ...hostMistakes(section, value, path, reading)];
  }
  if (section === "disks") {
    const none = Object.keys(value).length === 0;
    const empty: Mistake[] = none ? [{ path, text: `is empty. ${missing.disks}`, at: "key" }] : [];
    const together = Object.entries(value).flatMap(([key, disk]) => togetherMistakes(disk, [section, key]));
    return [...empty, ...found, ...together, ...nameMistakes(value), ...sharedMistakes(value)];
  }
  return found;
}

/**
 * Everything that is wrong with the configuration of a stack.
 * @param raw the top-level keys with their values, as the stack file has them
 * @param mayShow whether the value at a path may be repeated; the secret ones never are
 */
export function stackMistakes(
  raw: Record<string, unknown>,
  mayShow: (path: string[]) => boolean = () => true,
): Mistake[] {
  const reading: Reading = { mayShow: (path) => !isSecretPath(path) && mayShow(path), homesOf, exampleOf };
  const known = Object.keys(sections);
  const unknown = Object.keys(raw)
    .filter((key) => !known.includes(key))
    .map((key) => unknownKey([key], known, reading));
  const found = (known as Section[]).flatMap((section) => sectionMistakes(section, raw[section], reading));
  const disks = Object.entries(isObject(raw.disks) ? raw.disks : {});
  const commands = disks.flatMap(([key, disk]) => commandMistakes(disk, ["disks", key], raw));
  return withoutEchoes([...unknown, ...found, ...commands, ...adoptMistakes(raw.adopt, raw.disks)]);
}

/** Fixes the type once there are no mistakes. */
export function isStackFile(raw: Record<string, unknown>): raw is Record<string, unknown> & StackFile {
  return stackMistakes(raw).length === 0;
}
