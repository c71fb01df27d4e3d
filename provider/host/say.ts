/** Wording that several errors of the host layer share. */
import type { ExecOptions } from "./host";
import type { Command } from "./sh";
import type { Login } from "./transport";

/** A command in a message: by its title, whole when short, otherwise its beginning. */
export function shown(command: Command, { title }: Pick<ExecOptions, "title"> = {}): string {
  const text = (title ?? command.text).trim();
  return `\`${text.length > 300 ? `${text.slice(0, 300)}…` : text}\``;
}

/** The last lines of an output, where the reason usually is. */
export const tail = (text: string): string => text.trim().split("\n").slice(-10).join("\n") || "(no output)";

export const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/**
 * Why a login does not become root, with the cure.
 * @param said What sudo or the login shell said instead of running the command; sudo speaks the host's language.
 */
export function notRoot({ user, sudoPassword }: Login, said: string): string {
  const reason = tail(said)
    .replace(/\s*\n\s*/g, "; ")
    .replace(/\.$/, "");
  const rule = `\`${user} ALL=(ALL) NOPASSWD: ALL\` in /etc/sudoers.d/netdisk on the host`;
  if (user === "root")
    return `root's login runs no commands: ${reason}. Set user to a login that may use sudo, or allow root to run commands.`;
  if (/sudo: (?:command )?not found/.test(reason))
    return `${user} is not root, and there is no sudo: ${reason}. Install sudo on the host, or log in as root.`;
  if (/is not in the sudoers file|is not allowed to (?:execute|run)/.test(reason))
    return `${user} may not use sudo: ${reason}. Allow it (${rule}), or log in as root.`;
  return sudoPassword
    ? `sudo does not let ${user} run commands as root: ${reason}. Correct sudoPassword, allow sudo without one (${rule}), or log in as root.`
    : `sudo does not let ${user} run commands as root: ${reason}. Set sudoPassword, allow sudo without one (${rule}), or log in as root.`;
}
