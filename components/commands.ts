/** The user's own commands around a disk, by Pulumi's command provider: what netdisk itself does is never a command. */
import * as pulumi from "@pulumi/pulumi";
import * as command from "@pulumi/command";
import { commandHosts } from "../schema/commands";
import type { Client } from "./client";
import type { ConnectionArgs } from "./provider";
import type { Server } from "./server";

/** A command for either host, run as the login itself. */
export interface CommandArgs {
  /**
   * Shell command for the client, without sudo.
   * @example "systemctl start backup.timer"
   */
  client?: pulumi.Input<string>;
  /**
   * Shell command for the server, without sudo.
   * @example "logger photos is mounted"
   */
  server?: pulumi.Input<string>;
}

export interface DiskCommands {
  /** Pulumi's name of the disk. */
  resourceName: string;
  afterUp?: CommandArgs;
  beforeDown?: CommandArgs;
  client: Client;
  server: Server;
  /** With what makes the disk complete in dependsOn. */
  options: pulumi.CustomResourceOptions;
}

/** The command provider checks no host key by itself: it is given the one that netdisk's own connection has verified. */
const remotely = (
  { host, port, user, privateKey, keyPassphrase }: ConnectionArgs,
  hostKey: pulumi.Input<string>,
) => ({
  // Without one, commandMistakes has let nothing through.
  host: host ?? "",
  ...(port !== undefined && { port }),
  ...(user !== undefined && { user }),
  ...(privateKey !== undefined && { privateKey: pulumi.secret(privateKey) }),
  ...(keyPassphrase !== undefined && { privateKeyPassword: pulumi.secret(keyPassphrase) }),
  hostKey,
});

/** Two resources for each host, so that a changed `beforeDown` runs nothing yet. */
export function diskCommands({ resourceName, afterUp, beforeDown, options, ...hosts }: DiskCommands): void {
  for (const on of commandHosts) {
    const [up, down] = [afterUp?.[on], beforeDown?.[on]];
    if (up === undefined && down === undefined) continue;
    const { connection } = hosts[on];
    const isLocal = connection.connection === "local";
    const deletedWith = on === "server" && hosts.server.deletedWith;
    const how = { ...options, ...(deletedWith && { deletedWith }) };
    const hostKey = isLocal ? "" : hosts[on].ownKey();
    const make = (name: string, args: command.local.CommandArgs): void => {
      if (isLocal) new command.local.Command(name, { addPreviousOutputInEnv: false, ...args }, how);
      else {
        const way = { addPreviousOutputInEnv: false, connection: remotely(connection, hostKey) };
        new command.remote.Command(name, { ...way, ...args }, how);
      }
    };
    // Another command, or another host in the place of the old one, is reason to run it again. A changed address or
    // key is not, for which the command provider would: `update` is what it runs instead.
    if (up !== undefined) {
      make(`${resourceName}-after-up-${on}`, { create: up, update: "true", triggers: [up, hostKey] });
    }
    if (down !== undefined) make(`${resourceName}-before-down-${on}`, { delete: down });
  }
}
