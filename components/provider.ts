/** One provider per host: its configuration is how the operator's machine reaches that host. */
import * as pulumi from "@pulumi/pulumi";
import { connection, hostCure } from "../schema/connection";
import type { Field } from "../schema/define";
import { refuseMistakes } from "./mistakes";
import type * as z from "zod";

type Value<K extends keyof typeof connection> = pulumi.Input<
  NonNullable<z.input<(typeof connection)[K]["schema"]>>
>;

/** How a host is reached from the machine that runs Pulumi. */
export interface ConnectionArgs {
  /**
   * `local`: the machine that runs Pulumi is the host itself.
   * @default "ssh"
   */
  connection?: Value<"connection">;
  /**
   * Address, name, or alias of ssh_config(5).
   * @example "backup"
   */
  host?: Value<"host">;
  /**
   * TCP port.
   * @default ssh_config, then 22
   */
  port?: Value<"port">;
  /**
   * Login. Not root: commands run through sudo.
   * @default ssh_config, then the local user
   */
  user?: Value<"user">;
  /**
   * ssh_config(5) file, relative to the directory of Pulumi.yaml.
   * @default ~/.ssh/config
   */
  sshConfig?: Value<"sshConfig">;
  /**
   * Private key file on the operator's machine, relative to the directory of Pulumi.yaml.
   * @default ssh_config, then the agent
   */
  identityFile?: Value<"identityFile">;
  /** Private key itself (OpenSSH or PEM), instead of a file. Secret. */
  privateKey?: Value<"privateKey">;
  /** Passphrase of an encrypted private key. Without it, such a file needs the agent. Secret. */
  keyPassphrase?: Value<"keyPassphrase">;
  /** Password that sudo asks a login for that is not root. Without it, sudo must not ask. Secret. */
  sudoPassword?: Value<"sudoPassword">;
  /**
   * The host's public key, `ALGORITHM BASE64`. A host whose key is not known is refused.
   * @default known_hosts
   */
  hostKey?: Value<"hostKey">;
  /**
   * Seconds that the first contact of a create may wait for a host that is still starting.
   * @default 0
   */
  bootTimeout?: Value<"bootTimeout">;
}

export type ProviderArgs = ConnectionArgs & { role: "server" | "client" };

/** The keys of `args` that say how a host is reached, without the component's own. */
export function connectionOf(args: ConnectionArgs): ConnectionArgs {
  return Object.fromEntries(Object.entries(args).filter(([key]) => key in connection && key !== "role"));
}

export class Provider extends pulumi.ProviderResource {
  constructor(name: string, args: ProviderArgs, opts?: pulumi.ResourceOptions) {
    refuseMistakes(`${args.role} "${name}"`, connection, args);
    // An output may yet turn out to be "local".
    if (args.host === undefined && (args.connection === undefined || args.connection === "ssh")) {
      throw new pulumi.RunError(`${args.role} "${name}":\n  host: is missing. ${hostCure}`);
    }
    const secrets = Object.entries(args).filter(
      ([key]) => (connection as Record<string, Field>)[key]?.secret,
    );
    const hidden = Object.fromEntries(secrets.map(([key, value]) => [key, pulumi.secret(value)]));
    super("netdisk", name, { ...args, ...hidden }, opts);
  }
}
