/** Accounts of the host. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Account {
  name: string;
  uid: number;
  /** The comment field. */
  gecos: string;
  home: string;
  shell: string;
}

/** Undefined only where getent says that there is no such account. */
export const passwdAccount: Fact<[name: string], Account | undefined> = {
  name: "passwd.account",
  command: (name) => sh`getent passwd -- ${name}`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 2 && stdout === "") return undefined;
    const match = /^([^:\n]+):[^:\n]*:([0-9]+):[0-9]+:([^:\n]*):([^:\n]*):([^:\n]*)\n$/.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("unexpected answer of getent");
    const [, name = "", uid, gecos = "", home = "", shell = ""] = match;
    return { name, uid: Number(uid), gecos, home, shell };
  },
};
