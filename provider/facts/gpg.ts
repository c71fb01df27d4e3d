/** Whether what gpg sealed opens, and holds what is on the host now. */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";
import { gpgBy } from "./gpgCommand";
import { inMemory } from "./inMemory";
import { derivationMs, sealedStatus, unseal } from "./plainKey";

/** Another passphrase, damaged, empty, or nothing that gpg sealed; what cannot be read is none of these. */
const notOpened =
  /decryption failed|no valid OpenPGP data found|message has been manipulated|CRC error|decrypt_message failed: Unknown system error/;

export type SealedCheck = "current" | "outdated" | "locked";

const tar = sh`tar -C "$t" -ch --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0400`;

/**
 * What is sealed: a tar of `key` and `header` (links in $t lead to both), the same bytes each time it is made. A key
 * that is sealed itself is in no file: zeros of its length stand for it, and give way to it in the pipe.
 */
export const tarOfSecrets = (sealed: boolean): Command =>
  sealed
    ? sh`{ bytes=$(plain_key | wc -c) && truncate -s "$bytes" "$t/key" && size=$(stat -L -c %s "$t/header") && before=$(((size + 511) / 512 * 512 + 1024)) && after=$(($(${tar} -f - header key | wc -c) - before - bytes)) && ${tar} -f - header key | { head -c "$before"; cat >/dev/null; } && plain_key && head -c "$after" /dev/zero; } | gzip -n`
    : sh`${tar} -I 'gzip -n' -f - header key`;

/** Links to what is sealed, in a directory in memory; standard input moves to descriptor 3. */
export const secretsDirectory = (keyFile: string, header: string, sealed: boolean): Command => {
  const key = sealed ? sh`` : sh` && ln -s ${keyFile} "$t/key"`;
  return sh`{ ${inMemory("seal")}${key} && ln -s ${header} "$t/header" && exec 3<&0 </dev/null; } || exit 1`;
};

/**
 * Wants the passphrase on stdin, after the key's own where the key file is sealed. `current`: opens and holds this key
 * and header; `locked`: does not open.
 */
export const gpgCheck: Fact<
  [sealed: string, keyFile: string, header: string, keySealed?: boolean],
  SealedCheck
> = {
  name: "gpg.check",
  timeoutMs: derivationMs,
  command: (sealed, keyFile, header, keySealed = false) => sh`(
${unseal(keyFile, keySealed)}${secretsDirectory(keyFile, header, keySealed)}
want=$(${tarOfSecrets(keySealed)} | sha256sum)
have=$({ ${gpgBy(3)} --decrypt ${sealed} || : >"$t/locked"; } | sha256sum)
if [ -e "$t/locked" ]; then echo locked; elif [ "$want" = "$have" ]; then echo current; else echo outdated; fi
)`,
  parse: ({ exitCode, stdout, stderr }) => {
    // Nothing can be compared with a key that does not open: it is not the one that was sealed.
    if (exitCode === sealedStatus) return "outdated";
    if (exitCode === 0 && stdout === "current\n") return "current";
    if (exitCode === 0 && stdout === "outdated\n") return "outdated";
    if (exitCode === 0 && stdout === "locked\n" && notOpened.test(stderr)) return "locked";
    throw new Error("gpg could not judge the sealed copy");
  },
};

/**
 * Opens a sealed copy into files in $t, `key` and `header` or one of them, with the passphrase on descriptor 3. A pipe's
 * status is its last command's: that gpg failed is said by a file. What is zeros in a header of 16 MiB takes no memory.
 */
export const unpackSecrets = (sealed: string, ...members: ("key" | "header")[]): Command =>
  sh`{ ${gpgBy(3)} --decrypt ${sealed} || : >"$t/failed"; } | t=$t tar -xz --to-command=${'cp --sparse=always /dev/stdin "$t/$TAR_FILENAME"'} -f - ${members} && [ ! -e "$t/failed" ]`;

/** What opens, but is no sealed copy: somebody sealed something else with the same passphrase. */
const otherContent =
  /not in gzip format|does not look like a tar archive|Not found in archive|is not a valid LUKS device/;

/**
 * LUKS UUID of the header in a sealed copy; undefined where there is none, or the passphrase, which is wanted on stdin,
 * does not open it: one that is damaged, or another's.
 */
export const gpgHeader: Fact<[sealed: string], string | undefined> = {
  name: "gpg.header",
  timeoutMs: derivationMs,
  command: (sealed) => sh`(
{ ${inMemory("judge")} && exec 3<&0 </dev/null; } || exit 1
{ ${unpackSecrets(sealed, "header")}; } && cryptsetup luksUUID "$t/header" || echo none
)`,
  parse: ({ exitCode, stdout, stderr }) => {
    if (exitCode === 0 && /^[0-9a-f-]{36}\n$/.test(stdout)) return stdout.trim();
    const known = notOpened.test(stderr) || otherContent.test(stderr);
    if (exitCode === 0 && stdout === "none\n" && known) return undefined;
    throw new Error("gpg could not open the sealed copy");
  },
};

/** Length of the key in a key file that gpg sealed; undefined where the passphrase does not open it. Wants the passphrase on stdin. */
export const gpgKeyBytes: Fact<[keyFile: string], number | undefined> = {
  name: "gpg.keyBytes",
  timeoutMs: derivationMs,
  command: (keyFile) => sh`${unseal(keyFile, true)}plain_key | wc -c`,
  parse: ({ exitCode, stdout, stderr }) => {
    if (exitCode === sealedStatus && notOpened.test(stderr)) return undefined;
    if (exitCode !== 0 || !/^[0-9]+\n$/.test(stdout)) throw new Error("gpg could not open the key file");
    return Number(stdout);
  },
};
