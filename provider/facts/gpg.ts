/** Whether a sealed copy of key and header opens, and holds what is on the host now. */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";
import { inMemory } from "./inMemory";

export type SealedCheck = "current" | "outdated" | "locked";

/** Options of every gpg: no agent, no key ring, nothing kept; the passphrase comes on descriptor 3. */
export const gpg = sh`gpg --homedir "$t" --no-autostart --batch --quiet --no-tty --no-symkey-cache --pinentry-mode loopback --passphrase-fd 3`;

/**
 * What is sealed: a tar of `key` and `header` (links in $t lead to both), the same bytes each time it is made.
 */
export const tarOfSecrets = sh`tar -C "$t" -ch --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0400 -I 'gzip -n' -f - header key`;

/** Links to what is sealed, in a directory in memory; standard input moves to descriptor 3. */
export const secretsDirectory = (keyFile: string, header: string): Command =>
  sh`{ ${inMemory("seal")} && ln -s ${keyFile} "$t/key" && ln -s ${header} "$t/header" && exec 3<&0 </dev/null; } || exit 1`;

/** Wants the passphrase on stdin. `current`: opens and holds this key and header; `locked`: does not open. */
export const gpgCheck: Fact<[sealed: string, keyFile: string, header: string], SealedCheck> = {
  name: "gpg.check",
  command: (sealed, keyFile, header) => sh`(
${secretsDirectory(keyFile, header)}
want=$(${tarOfSecrets} | sha256sum)
have=$({ ${gpg} --decrypt ${sealed} || : >"$t/locked"; } | sha256sum)
if [ -e "$t/locked" ]; then echo locked; elif [ "$want" = "$have" ]; then echo current; else echo outdated; fi
)`,
  parse: ({ exitCode, stdout, stderr }) => {
    if (exitCode === 0 && stdout === "current\n") return "current";
    if (exitCode === 0 && stdout === "outdated\n") return "outdated";
    if (
      exitCode === 0 &&
      stdout === "locked\n" &&
      /decryption failed|no valid OpenPGP data found/.test(stderr)
    )
      return "locked";
    throw new Error("gpg could not judge the sealed copy");
  },
};
