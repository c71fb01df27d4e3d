/** Field types that several definitions share, each with the one parser for its spelling. */
import * as z from "zod";
import { field } from "./define";
import { sizeBytes, type Size } from "./size";

/**
 * A disk's name, valid at once as systemd instance, device-mapper name, NBD export name and file name.
 * device-mapper allows 127 bytes, an nbd-server section is a GKeyFile group; the rest keeps escaping away.
 */
const diskNamePattern = /^[a-z][a-z0-9_]{0,31}$/;

/**
 * A disk of this name would be in the way of something else: `/run/netdisk/NAME` of the locks, of the server's sockets, of
 * the notes on loop devices and of the tunnels, `/dev/mapper/NAME` of device-mapper itself, `[NAME]` of nbd-server's own settings.
 */
const takenNames = ["lock", "serve", "loop", "tunnel", "control", "generic"];

export const diskName = z
  .string()
  .regex(
    diskNamePattern,
    "must start with a lower-case letter and hold only lower-case letters, digits and _ (at most 32)",
  )
  .refine((name) => !takenNames.includes(name), {
    message: `must be another name than ${takenNames.join(", ")}, which other things on the hosts have`,
  });

export const absolutePath = z
  .string()
  .regex(/^\/(?!\/)[^\0\n]*$/, "must be an absolute path")
  .refine((path) => path === "/" || !/\/$|\/\/|\/\.\.?(\/|$)/.test(path), {
    message: "must be a plain path: no trailing /, no //, no . or ..",
  });

/** A user or group of a host. */
export const account = z.string().regex(/^[a-z_][a-z0-9_-]*$/, "must be a user or group name");

export const size = z.custom<Size>((value) => typeof value === "string" && sizeBytes(value) !== undefined, {
  message: 'must be a whole number and a unit, such as "20 GiB" (units: B, KiB, MiB, GiB, TiB)',
});

/** A size that is one of the two or lies between them. */
export const sizeWithin = (least: Size, most: Size) =>
  size.refine(
    (value) => {
      const [bytes = 0, from = 0, to = 0] = [value, least, most].map(sizeBytes);
      return from <= bytes && bytes <= to;
    },
    { message: `must be ${least} to ${most}` },
  );

/** mkfs.xfs takes no less than 300 MiB, and before them lies a LUKS header of 16 MiB at most. */
export const smallestDisk: Size = "320 MiB";
export const whySmallest = "mkfs.xfs takes no less than 300 MiB, and the LUKS header lies before them";

export const isTooSmall = (value: Size): boolean => (sizeBytes(value) ?? 0) < (sizeBytes(smallestDisk) ?? 0);

export const diskSize = size.refine((value) => !isTooSmall(value), {
  message: `must be at least ${smallestDisk}: ${whySmallest}`,
});

/** Compares sizes by their bytes, however they are spelled. */
export const canonicalSize = (value: unknown): unknown =>
  typeof value === "string" ? sizeBytes(value) : value;

export const nameField = field(diskName, {
  doc: "Name of the disk. Part of the id and of every name on the hosts; can never change.",
  role: "fixed",
  cure: "Keep the name; the Pulumi resource may be renamed freely.",
  example: "testdisk",
});

/** As cryptsetup prints it. */
export const luksUuid = z
  .string()
  .regex(
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    "must be the disk's LUKS UUID, such as 30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11; `cryptsetup luksUUID` and `pulumi stack output disks` show it",
  );

/** The order to take over what was made by hand; what each resource takes is said where it is used. */
export const adoptField = (takes: string) =>
  field(luksUuid.optional(), {
    doc: `LUKS UUID of a disk that was made without netdisk, to take it over as it is: ${takes} Means nothing once that is done.`,
    role: "order",
    example: "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11",
  });

export const passphrase = z
  .string()
  .min(8, "must have at least 8 characters")
  .regex(/^[^\n\r\0]*$/, "must be one line");

export const keyReadings = ["whole", "first line"] as const;
export type KeyReading = (typeof keyReadings)[number];

export const keyReading = field(z.enum(keyReadings).default("whole"), {
  doc: "How much of the key file is the key. `first line`: up to its first line break, as cryptsetup reads a pipe that it is not told to read to its end (`--key-file -`). The other way is tried where this one does not open the disk.",
  role: "unobserved",
});

export const keyPassphrase = field(passphrase.optional(), {
  doc: "Passphrase of the key file; given where gpg sealed that.",
  role: "unobserved",
  secret: true,
});

/** The way from the client to the server. */
export const transports = ["forward", "session"] as const;
export type Transport = (typeof transports)[number];

export const defaultTransport: Transport = "session";

export const transportField = field(z.enum(transports).default(defaultTransport), {
  doc: "The way to the server. `session`: netdisk's own, for which an outage of any length is a pause and a server's power loss costs nothing that was acknowledged (docs/session.md); needs nbdkit 1.34 on the client, as Debian 13 has it. `forward`: the article's `ssh -L` to nbd-server's port.",
});
