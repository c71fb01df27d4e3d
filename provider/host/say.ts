/** Wording that several errors of the host layer share. */
import type { Command } from "./sh";

/** A command in a message: whole when short, otherwise its beginning. */
export function shown(command: Command): string {
  const text = command.text.trim();
  return `\`${text.length > 300 ? `${text.slice(0, 300)}…` : text}\``;
}

/** The last lines of an output, where the reason usually is. */
export const tail = (text: string): string => text.trim().split("\n").slice(-10).join("\n") || "(no output)";

export const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/** What sudo itself said instead of starting the command, with the cure; undefined if it did start it. */
export function sudoFailure(stderr: string): string | undefined {
  const said = stderr.trim();
  if (/^sudo: (a password is required|a terminal is required|.*interactive authentication)/.test(said))
    return `${said}. Let the login use sudo without a password (\`LOGIN ALL=(ALL) NOPASSWD: ALL\` in /etc/sudoers.d/netdisk on the host), or log in as root.`;
  if (/is not in the sudoers file|is not allowed to (execute|run)/.test(said.split("\n")[0] ?? ""))
    return `${said}. Allow the login in /etc/sudoers.d/netdisk on the host (\`LOGIN ALL=(ALL) NOPASSWD: ALL\`), or log in as root.`;
  if (/sudo: (command )?not found$/m.test(said.split("\n")[0] ?? ""))
    return `${said}. Install sudo on the host, or log in as root.`;
  return undefined;
}
