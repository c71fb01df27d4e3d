/** The public half of a private SSH key, as ssh-keygen derives it: proves that the private half is usable. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** `ssh-ed25519 BASE64`; undefined when there is no such file. A key with a passphrase, or none at all, throws. */
export const sshPublicKey: Fact<[path: string], string | undefined> = {
  name: "sshKeygen.publicKey",
  // Through a pipe: of a file that others may read ssh-keygen says nothing at all.
  command: (path) =>
    sh`if test -e ${path}; then cat ${path} | ssh-keygen -y -P '' -f /dev/stdin; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    const match = /^(ssh-ed25519 [A-Za-z0-9+/=]+)(?: [^\n]*)?\n$/.exec(stdout);
    if (exitCode !== 0 || !match?.[1]) throw new Error("no ed25519 key without passphrase");
    return match[1];
  },
};
