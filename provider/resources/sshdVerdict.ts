/** Whether sshd's configuration lets the account of a session or a tunnel in and through. Pure. */
import type { SshdConfig } from "../facts/sshd";

export interface Login {
  user: string;
  home: string;
  keysFile: string;
  /** HOST:PORT that must be reachable; undefined: none, the login runs a command. */
  permitOpen?: string;
}

/** ssh's patterns: `*`, `?`. */
function fits(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(text);
}

const words = (lines: string[] | undefined): string[] => (lines ?? []).flatMap((line) => line.split(/\s+/));

const expand = (pattern: string, { user, home }: Login): string => {
  const path = pattern.replace(/%([%hu])/g, (_, token: string) =>
    token === "h" ? home : token === "u" ? user : "%",
  );
  return path.startsWith("/") ? path : `${home}/${path}`;
};

/** The values of PermitOpen that allow HOST:PORT. */
function patternsOf(permitOpen: string): string[] {
  const port = permitOpen.slice(permitOpen.lastIndexOf(":") + 1);
  return ["any", permitOpen, `*:${port}`, `${permitOpen.slice(0, -port.length)}*`];
}

/** `accepts`, or the setting that forbids it, in sshd_config's words. What depends on the address is not judged. */
export function sshdVerdict(config: SshdConfig, login: Login): string {
  const { user, permitOpen } = login;
  const one = (key: string): string => config[key]?.[0] ?? "";
  const listed = (key: string): boolean =>
    words(config[key]).some((pattern) => fits(pattern.replace(/@.*/, ""), user));
  const denied = (key: string): boolean =>
    words(config[key]).some((pattern) => !pattern.includes("@") && fits(pattern, user));
  const open = words(config.permitopen);
  const forbids: [boolean, string][] = [
    [one("pubkeyauthentication") !== "yes", "PubkeyAuthentication no"],
    [permitOpen !== undefined && one("disableforwarding") === "yes", "DisableForwarding yes"],
    [
      permitOpen !== undefined && !["yes", "all", "local"].includes(one("allowtcpforwarding")),
      `AllowTcpForwarding ${one("allowtcpforwarding")}`,
    ],
    [
      permitOpen !== undefined && !patternsOf(permitOpen).some((it) => open.includes(it)),
      `PermitOpen ${open.join(" ")}`,
    ],
    [
      permitOpen === undefined && config.forcecommand !== undefined && one("forcecommand") !== "none",
      `ForceCommand ${one("forcecommand")}`,
    ],
    [
      !words(config.authorizedkeysfile).some((pattern) => expand(pattern, login) === login.keysFile),
      `AuthorizedKeysFile ${one("authorizedkeysfile")}`,
    ],
    [
      config.authenticationmethods !== undefined &&
        !words(config.authenticationmethods).some((it) => it === "any" || it === "publickey"),
      `AuthenticationMethods ${one("authenticationmethods")}`,
    ],
    [
      !one("pubkeyacceptedalgorithms").split(",").includes("ssh-ed25519"),
      "PubkeyAcceptedAlgorithms without ssh-ed25519",
    ],
    [one("refuseconnection") === "yes", "RefuseConnection yes"],
    [denied("denyusers"), `DenyUsers ${words(config.denyusers).join(" ")}`],
    [
      config.allowusers !== undefined && !listed("allowusers"),
      `AllowUsers ${words(config.allowusers).join(" ")}`,
    ],
    [denied("denygroups"), `DenyGroups ${words(config.denygroups).join(" ")}`],
    [
      config.allowgroups !== undefined && !listed("allowgroups"),
      `AllowGroups ${words(config.allowgroups).join(" ")}`,
    ],
  ];
  return forbids.find(([found]) => found)?.[1] ?? "accepts";
}
