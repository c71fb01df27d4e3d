/** What a disk has for itself on its hosts, and what two disks may therefore not share. Pure. */
import { type Mistake, valueAt } from "./mistake";
import { isBelow } from "./mountPoint";
import { backingFile } from "./paths";

type Host = "server" | "client";

/** The properties, and the hosts where another disk's would be the same thing. */
const hostsOf = {
  name: ["server", "client"],
  "file.path": ["server"],
  "device.path": ["server"],
  "mount.path": ["client"],
  "key.gpg": ["client"],
} as const satisfies Record<string, Host[]>;

/** What may not lie below another disk's either: of two mounts, the later one could be the upper one, and hide the other. */
const apart: readonly string[] = ["mount.path"] satisfies (keyof typeof hostsOf)[];

/** Who has what on a host, `PROPERTY VALUE`. */
export type Taken = Map<string, string>;

interface Use {
  property: string;
  value: string;
  at: Taken;
}

/**
 * The uses of a disk, as far as they are known.
 * @param hosts what is taken so far on either; one map for both where all disks have the same two
 */
function usesOf(name: string, disk: unknown, hosts: Record<Host, Taken>): Use[] {
  const isNameTaken = hostsOf.name.some((host) => hosts[host].has(`name ${name}`));
  // The default follows from the name; that two disks share it is said once.
  const file = isNameTaken || valueAt(disk, ["device"]) !== undefined ? undefined : backingFile(name);
  const values: Record<string, unknown> = {
    name,
    "file.path": valueAt(disk, ["file", "path"]) ?? file,
  };
  return Object.entries(hostsOf).flatMap(([property, on]) => {
    const value = values[property] ?? valueAt(disk, property.split("."));
    if (typeof value !== "string") return [];
    return [...new Set(on.map((host: Host) => hosts[host]))].map((at) => ({ property, value, at }));
  });
}

interface Clash {
  property: string;
  other: string;
  how: "same" | "below" | "above";
}

function clashesOf({ property, value, at }: Use): Clash[] {
  const same = at.get(`${property} ${value}`);
  if (same !== undefined) return [{ property, other: same, how: "same" }];
  if (!apart.includes(property)) return [];
  return [...at].flatMap(([use, other]): Clash[] => {
    if (!use.startsWith(`${property} `)) return [];
    const path = use.slice(property.length + 1);
    if (isBelow(value, path)) return [{ property, other, how: "below" }];
    return isBelow(path, value) ? [{ property, other, how: "above" }] : [];
  });
}

const inWords = (other: string, how: Clash["how"]): string =>
  how === "same"
    ? `is that of ${other} too. Give each disk its own.`
    : `lies ${how} that of ${other}, and one would hide the other. Mount the disks beside each other.`;

/** @param called how the other disk is called in the message */
export function sharedUses(
  { name, disk, root }: { name: string; disk: unknown; root: string[] },
  hosts: Record<Host, Taken>,
  called: (other: string) => string,
): Mistake[] {
  const found = usesOf(name, disk, hosts).flatMap(clashesOf);
  const once = found.filter(({ property }, i) => found.findIndex((it) => it.property === property) === i);
  return once.map(({ property, other, how }) => ({
    path: [...root, ...property.split(".")],
    text: inWords(called(other), how),
    at: "value",
  }));
}

/** What is taken stays with who had it first. */
export function takeUses(key: string, name: string, disk: unknown, hosts: Record<Host, Taken>): void {
  for (const { property, value, at } of usesOf(name, disk, hosts)) {
    const use = `${property} ${value}`;
    if (!at.has(use)) at.set(use, key);
  }
}
