/**
 * What a stack file may hold: one host pair and its disks. The fields are those of the resource types, so that a
 * rule, a default or a description is written once.
 */
import * as z from "zod";
import { endpoint, sourceBuild } from "./client";
import { connection } from "./connection";
import { filesystem, luks, mount, recovery } from "./crypt";
import type { Field } from "./define";
import { diskName } from "./fields";
import { backingFile } from "./server";

type Plain<F extends Record<string, Field>> = { [K in keyof F]: z.ZodOptional<F[K]["schema"]> };

/** The schemas of some fields, all of them optional here: defaults are filled in by `check`, not in the stack file. */
function some<F extends Record<string, Field>, const K extends keyof F & string>(
  fields: F,
  ...keys: K[]
): Plain<Pick<F, K>> {
  return Object.fromEntries(
    keys.map((key) => [key, z.optional((fields[key] as Field).schema)]),
  ) as unknown as Plain<Pick<F, K>>;
}

const reach = some(
  connection,
  "connection",
  "host",
  "port",
  "user",
  "sshConfig",
  "identityFile",
  "privateKey",
  "hostKey",
  "bootTimeout",
);

export const serverSection = z.strictObject({ ...reach, endpoint: endpoint.optional() });

export const clientSection = z.strictObject({
  ...reach,
  nbd: z.strictObject(some(sourceBuild.inputs, "repository", "ref")).optional(),
});

export const recoverySection = z.strictObject({ passphrase: recovery.inputs.passphrase.schema });

export const diskSection = z.strictObject({
  name: diskName.optional(),
  file: z.strictObject({
    ...some(backingFile.inputs, "path", "allocation"),
    size: backingFile.inputs.size.schema,
  }),
  luks: z.strictObject(some(luks.inputs, "cipher", "keySize", "pbkdf", "sectorSize")).optional(),
  filesystem: z.strictObject(some(filesystem.inputs, "type", "crc", "finobt")).optional(),
  mount: z.strictObject({ ...some(mount.inputs, "options"), path: mount.inputs.path.schema }),
});

/** The top-level keys and what each must be; `recovery` may also be the word `none`. */
export const sections = {
  server: serverSection,
  client: clientSection,
  recovery: recoverySection,
  disks: z.record(z.string(), diskSection),
} as const;

/** A valid stack file as it is written, without defaults. */
export interface StackFile {
  server: z.input<typeof serverSection>;
  client: z.input<typeof clientSection>;
  recovery: "none" | z.input<typeof recoverySection>;
  disks: Record<string, z.input<typeof diskSection>>;
}

/** Values that must be encrypted in the stack file. */
export const secretPaths = [
  ["recovery", "passphrase"],
  ["server", "privateKey"],
  ["client", "privateKey"],
] as const;
