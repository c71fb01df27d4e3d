/** The user's own commands around a disk, and which ways to a host they can go. Pure. */
import * as z from "zod";
import { field } from "./define";
import { isPlainAddress } from "./endpoint";
import { isEmpty, valueAt, type Mistake } from "./mistake";

const command = z.string().min(1, "must not be empty");

/** When they run; each may have a command for either host. */
const occasions = ["afterUp", "beforeDown"] as const;
export const commandHosts = ["client", "server"] as const;
export type CommandHost = (typeof commandHosts)[number];

const by = (host: CommandHost) => `Shell command, run on the ${host} as the login itself, without sudo.`;

export const afterUp = {
  client: field(command, { doc: by("client"), example: "systemctl start backup.timer" }),
  server: field(command, { doc: by("server"), example: "logger photos is mounted" }),
};

export const beforeDown = {
  client: field(command, { doc: by("client"), example: "systemctl stop backup.timer" }),
  server: field(command, { doc: by("server"), example: "logger photos goes" }),
};

/** Why @pulumi/command cannot go the way to a host that netdisk goes. What is not known yet is no reason. */
function obstacles(name: CommandHost, host: Record<string, unknown>): string[] {
  if (host.connection === "local") return [];
  const given = (key: string) => !isEmpty(host[key]);
  const reasons: string[] = [];
  const alias = typeof host.host === "string" && given("host") && !isPlainAddress(host.host);
  if (given("sshConfig") || alias) {
    const cure = `Give ${name}.host an address or a full name${given("sshConfig") ? ", and remove sshConfig" : ""}.`;
    reasons.push(`it reads no ssh_config: no alias, no ProxyJump, no IdentityFile of it applies. ${cure}`);
  }
  if (!given("user")) {
    reasons.push(`it does not know as whom to log in. Name the login in ${name}.user.`);
  }
  if (given("identityFile") && !given("privateKey")) {
    const cure = `Give the key itself in ${name}.privateKey, or load it into ssh-agent and remove identityFile.`;
    reasons.push(`it reads no ${name}.identityFile. ${cure}`);
  }
  return reasons;
}

/**
 * What is wrong with the commands of a disk for the hosts that it has.
 * @param root where the disk is
 * @param hosts the keys of both hosts
 */
export function commandMistakes(
  disk: unknown,
  root: string[],
  hosts: Partial<Record<CommandHost, unknown>>,
): Mistake[] {
  return occasions.flatMap((occasion) =>
    commandHosts
      .filter((name) => !isEmpty(valueAt(disk, [occasion, name])))
      .flatMap((name) => {
        const host = hosts[name];
        if (typeof host !== "object" || host === null) return [];
        return obstacles(name, host as Record<string, unknown>).map((reason): Mistake => {
          const text = `is run by @pulumi/command, and ${reason}`;
          return { path: [...root, occasion, name], text, at: "key" };
        });
      }),
  );
}
