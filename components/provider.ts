/** One provider per host: its configuration is how the operator's machine reaches that host. */
import * as pulumi from "@pulumi/pulumi";
import { connection } from "../schema/connection";
import { mistakes } from "./mistakes";
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
    const found = mistakes(connection, args);
    if (args.connection !== "local" && args.host === undefined) {
      found.push(
        "host: is missing. Name the host, or say `connection: local` for the machine that runs Pulumi.",
      );
    }
    if (found.length > 0) {
      throw new pulumi.RunError(`${args.role} "${name}":\n${found.map((line) => `  ${line}`).join("\n")}`);
    }
    const { privateKey } = args;
    super("netdisk", name, { ...args, ...(privateKey && { privateKey: pulumi.secret(privateKey) }) }, opts);
  }
}
