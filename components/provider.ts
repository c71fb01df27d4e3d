/** One provider per host: its configuration is how the operator's machine reaches that host. */
import * as pulumi from "@pulumi/pulumi";
import { connection } from "../schema/connection";
import type { Field } from "../schema/define";
import { refuseMistakes } from "./mistakes";
import type * as z from "zod";

type Fields = typeof connection;
type Optional = {
  [K in keyof Fields]: undefined extends z.input<Fields[K]["schema"]> ? K : never;
}[keyof Fields];

/** How a host is reached; what each key means stands in schema/connection.ts. */
export type ConnectionArgs = {
  [K in Exclude<Optional, "role">]?: pulumi.Input<NonNullable<z.input<Fields[K]["schema"]>>>;
};

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
      const cure = "Name the host, or say `connection: local` for the machine that runs Pulumi.";
      throw new pulumi.RunError(`${args.role} "${name}":\n  host: is missing. ${cure}`);
    }
    const secrets = Object.entries(args).filter(
      ([key]) => (connection as Record<string, Field>)[key]?.secret,
    );
    const hidden = Object.fromEntries(secrets.map(([key, value]) => [key, pulumi.secret(value)]));
    super("netdisk", name, { ...args, ...hidden }, opts);
  }
}
