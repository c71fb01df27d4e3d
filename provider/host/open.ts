/** From a provider's configuration to the Host it describes. Nothing is contacted before the first use. */
import type { connection } from "../../schema/connection";
import type { Definition, Inputs } from "../../schema/define";
import type { Secret } from "../../schema/secret";
import type { Host } from "./host";
import { localHost } from "./local";
import { sshHost, type SshOptions } from "./ssh";
import { resolveTarget } from "./sshConfig";

type Checked = Inputs<Definition<typeof connection>>;

type SecretKeys = "privateKey" | "keyPassphrase" | "sudoPassword";

/** schema/connection.ts, checked; what the user left out may be left out here too. */
export type Connection = Pick<Checked, "connection"> &
  Partial<Omit<Checked, SecretKeys>> &
  Partial<Record<SecretKeys, Secret>>;

/** @param options.bootTimeoutMs for the first contact: how long a host that is still starting is waited for. */
export function openHost(connection: Connection, options: SshOptions): Host {
  return connection.connection === "local"
    ? localHost(connection.sudoPassword)
    : sshHost(connection, options);
}

/**
 * SHA256 fingerprints of the keys that the host may show, from configuration and known_hosts, without
 * contact: NETDISK_HOST_GONE names a host by any of them. None for a local host, which is never gone.
 */
export async function hostFingerprints(connection: Connection): Promise<string[]> {
  if (connection.connection === "local") return [];
  return (await resolveTarget(connection)).hostKeys.map((key) => key.fingerprint);
}
