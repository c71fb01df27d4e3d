/** What a connection means on this machine: the provider's configuration over ssh_config(5). */
import { homedir, hostname, userInfo } from "node:os";
import type { Secret } from "../../schema/secret";
import { NetdiskError } from "../errors";
import { knownHostsName, lookUp, parseHostKey, type HostKey } from "./hostKeys";
import type { Connection } from "./open";
import { NoOpenSsh, openSsh } from "./openSsh";
import { projectPath } from "./projectPath";

export interface Target {
  /** The user's own name for the host. */
  name: string;
  hostName: string;
  port: number;
  user: string;
  privateKey?: Secret;
  /** Opens an encrypted privateKey or identity file. */
  keyPassphrase?: Secret;
  /** In the order to try. An `explicit` one must exist. */
  identityFiles: string[];
  explicitIdentity: boolean;
  identitiesOnly: boolean;
  /** Socket of the agent. */
  agent?: string;
  /** The command whose stdin and stdout are the connection, ready for `sh -c`. */
  proxy?: string;
  hostKeys: HostKey[];
  /** Where hostKeys came from, or were looked for. */
  hostKeySource: string;
  /** The name in known_hosts. */
  hostKeyName: string;
  /** Said in errors: what could not take part in the resolution. */
  remark?: string;
}

type Settings = Record<string, string[]>;

/** `keyword value` per line; a keyword may come several times (identityfile). */
export function parseConfig(stdout: string): Settings {
  const settings: Settings = {};
  for (const line of stdout.split("\n").filter(Boolean)) {
    const space = line.indexOf(" ");
    const keyword = space < 0 ? line : line.slice(0, space);
    (settings[keyword] ??= []).push(space < 0 ? "" : line.slice(space + 1));
  }
  return settings;
}

/** The tokens of ssh_config(5) that `ssh -G` leaves as they are. */
export function expandTokens(text: string, tokens: Record<string, string>, what: string): string {
  return text.replace(/%(.)/g, (token, letter: string) => {
    const value = letter === "%" ? "%" : tokens[letter];
    if (value === undefined)
      throw new NetdiskError(
        "CONFIG",
        `${what} "${text}": ${token} is not supported. Write the value itself.`,
      );
    return value;
  });
}

const tilde = (path: string): string => path.replace(/^~(?=\/|$)/, homedir());

const configFile = (connection: Connection): string | undefined =>
  connection.sshConfig === undefined ? undefined : projectPath(connection.sshConfig);

async function settingsOf(host: string, connection: Connection): Promise<Settings> {
  const file = configFile(connection);
  const args = [
    ...(file === undefined ? [] : ["-F", file]),
    ...(connection.port === undefined ? [] : ["-p", String(connection.port)]),
    ...(connection.user === undefined ? [] : ["-l", connection.user]),
  ];
  const { exitCode, stdout, stderr } = await openSsh("ssh", ["-G", ...args, "--", host]);
  if (exitCode !== 0)
    throw new NetdiskError(
      "CONFIG",
      `\`ssh -G ${[...args, host].join(" ")}\` ended with status ${exitCode}: ${stderr.trim()}. Correct the ssh configuration (sshConfig, host).`,
    );
  return parseConfig(stdout);
}

/** `ssh -J` as OpenSSH itself does it: another ssh that connects its stdio to the target. */
export function jumpCommand(
  jump: string,
  target: { hostName: string; port: number },
  config?: string,
): string {
  const hops = jump.split(",");
  const last = hops.pop() ?? "";
  const [, user, host = "", port] =
    /^(?:ssh:\/\/)?(?:(.*)@)?(\[[^\]]+\]|[^:@/]+)(?::(\d+))?\/?$/.exec(last.trim()) ?? [];
  if (host === "")
    throw new NetdiskError("CONFIG", `ProxyJump "${jump}" is not understood. Write [user@]host[:port].`);
  const words = [
    "ssh",
    ...(config === undefined ? [] : ["-F", config]),
    ...(user === undefined ? [] : ["-l", user]),
    ...(port === undefined ? [] : ["-p", port]),
    ...(hops.length === 0 ? [] : ["-J", hops.join(",")]),
    ...["-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes"],
    ...["-W", `[${target.hostName}]:${target.port}`, "--", host.replace(/^\[(.*)\]$/, "$1")],
  ];
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}

function agentOf(setting: string | undefined, tokens: Record<string, string>): string | undefined {
  const socket = process.env.SSH_AUTH_SOCK || undefined;
  if (setting === "none") return undefined;
  if (setting === undefined || setting === "SSH_AUTH_SOCK") return socket;
  if (setting.startsWith("$")) return process.env[setting.slice(1).replace(/^\{(.*)\}$/, "$1")];
  return tilde(expandTokens(setting, tokens, "IdentityAgent"));
}

export async function resolveTarget(connection: Connection): Promise<Target> {
  const name = connection.host;
  if (name === undefined || name === "")
    throw new NetdiskError("CONFIG", "host is not set. Set host, or connection to `local`.");

  let settings: Settings = {};
  let remark: string | undefined;
  try {
    settings = await settingsOf(name, connection);
  } catch (error) {
    if (!(error instanceof NoOpenSsh)) throw error;
    remark = "ssh was not found on this machine, so no ssh_config and no known_hosts took part.";
  }
  const setting = (keyword: string): string | undefined => {
    const value = settings[keyword]?.[0];
    return value === "" ? undefined : value;
  };
  const some = (keyword: string) => (setting(keyword) === "none" ? undefined : setting(keyword));

  const hostName = setting("hostname") ?? name;
  const port = connection.port ?? Number(setting("port") ?? 22);
  const user = connection.user ?? setting("user") ?? userInfo().username;
  const tokens: Record<string, string> = {
    d: homedir(),
    h: hostName,
    i: String(process.getuid?.() ?? ""),
    k: setting("hostkeyalias") ?? name,
    L: hostname().split(".")[0] ?? "",
    l: hostname(),
    n: name,
    p: String(port),
    r: user,
    u: userInfo().username,
  };
  const jump = some("proxyjump");
  const command = some("proxycommand");

  // With an alias for the key the port plays no part, as in OpenSSH.
  const alias = setting("hostkeyalias");
  const hostKeyName = alias ?? knownHostsName(hostName.toLowerCase(), port);
  const files = ["userknownhostsfile", "globalknownhostsfile"]
    .flatMap((keyword) => settings[keyword]?.flatMap((value) => value.split(" ")) ?? [])
    .filter((file) => file !== "" && file !== "none")
    .map(tilde);
  const pinned = connection.hostKey === undefined ? undefined : parseHostKey(connection.hostKey);

  return {
    name,
    hostName,
    port,
    user,
    privateKey: connection.privateKey,
    keyPassphrase: connection.keyPassphrase,
    identityFiles:
      connection.identityFile !== undefined
        ? [projectPath(connection.identityFile)]
        : (settings.identityfile ?? [])
            .filter((file) => file !== "none")
            .map((file) => tilde(expandTokens(file, tokens, "IdentityFile"))),
    explicitIdentity: connection.identityFile !== undefined,
    identitiesOnly: setting("identitiesonly") === "yes",
    agent: agentOf(setting("identityagent"), tokens),
    proxy:
      jump !== undefined
        ? jumpCommand(jump, { hostName, port }, configFile(connection))
        : command === undefined
          ? undefined
          : expandTokens(command, tokens, "ProxyCommand"),
    hostKeys: pinned ? [pinned] : await lookUp(hostKeyName, files),
    hostKeySource: pinned ? "hostKey" : files.join(", ") || "known_hosts",
    hostKeyName,
    remark,
  };
}
