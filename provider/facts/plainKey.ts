/**
 * How a command on the client gets at a disk's key. A plain key file is read by cryptsetup itself. One that is sealed
 * by gpg is opened into a pipe, with a passphrase that comes as the first line of standard input: here neither of the two is
 * in a file, in the environment or among arguments.
 */
import type { KeyReading } from "../../schema/fields";
import { Secret } from "../../schema/secret";
import { type Command, sh } from "../host/sh";
import { gpgBy } from "./gpgCommand";
import { inMemory } from "./inMemory";

/** Several slow derivations of a key from a passphrase; on a busy machine each takes its time. */
export const derivationMs = 300_000;

/** Exit status with which a command says that the passphrase does not open the key file. */
export const sealedStatus = 46;

/**
 * Tries a key; nothing is mapped. One waits for the other on the same host: each takes as much memory as its key slot was
 * made with, and a small client has no room for several. (cryptsetup 2.8.0 and 2.8.1 take the option and do not wait.)
 */
export const tryingKey = sh`cryptsetup open --test-passphrase --serialize-memory-hard-pbkdf`;

/** What resources that use the key have among their inputs. */
export interface DiskKey {
  keyFile: string;
  /** Given where the key file is sealed. */
  keyPassphrase?: Secret;
}

export const isSealed = ({ keyPassphrase }: Pick<DiskKey, "keyPassphrase">): boolean =>
  keyPassphrase !== undefined;

/** Standard input for a command that begins with `unseal`; `rest` is what it reads besides. */
export const keyInput = (
  { keyPassphrase }: Pick<DiskKey, "keyPassphrase">,
  rest?: Secret,
): Secret | undefined =>
  keyPassphrase === undefined ? rest : new Secret(`${keyPassphrase.reveal()}\n${rest?.reveal() ?? ""}`);

/** Writes the key to standard output; the passphrase is in $passphrase, a directory in memory in $t. */
export const plainKey = (keyFile: string): Command =>
  sh`printf '%s\\n' "$passphrase" | ${gpgBy(0)} --decrypt ${keyFile}`;

/**
 * The beginning of a command that uses the key. Opens a sealed one once to the end, so that what comes later through a
 * pipe, whose failures a shell does not see, is all of it.
 */
export const unseal = (keyFile: string, sealed: boolean): Command =>
  sealed
    ? sh`{ ${inMemory("key")}; } && IFS= read -r passphrase || exit 1
plain_key() { ${plainKey(keyFile)}; }
plain_key >/dev/null || { echo ${`the passphrase does not open ${keyFile}; give the one that it was sealed with`} >&2; exit ${sealedStatus}; }
`
    : sh``;

/**
 * A command that is given the key; `use` gets the option that names it. cryptsetup reads `--key-file -` beyond line
 * breaks; its standard input without that option only up to the first one.
 */
export function withKey(
  keyFile: string | Command,
  sealed: boolean,
  use: (option: Command) => Command,
  reading: KeyReading = "whole",
): Command {
  if (reading === "first line") return sh`${sealed ? sh`plain_key` : sh`cat ${keyFile}`} | ${use(sh``)}`;
  return sealed ? sh`plain_key | ${use(sh`--key-file -`)}` : use(sh`--key-file ${keyFile}`);
}

/**
 * The same, and where the key opens nothing (status 2 of cryptsetup), once more with the other reading. For what only needs
 * the disk open: `reading` is what was last seen, and a run that was killed between a change of the key and the saving of
 * what follows from it leaves a key, or a sealed copy, of the other kind.
 */
export function withEitherReading(
  keyFile: string | Command,
  sealed: boolean,
  use: (option: Command) => Command,
  reading: KeyReading = "whole",
): Command {
  const by = (how: KeyReading) => withKey(keyFile, sealed, use, how);
  return sh`{ ${by(reading)} || { [ $? = 2 ] && ${by(reading === "whole" ? "first line" : "whole")}; }; }`;
}

/** A pipe's first line, without its line break: what cryptsetup takes for the key without `--key-file -`. */
export const firstLine = sh`head -n 1 | tr -d '\\n'`;

/** The length of the key's first line. */
export const firstLineBytes = (keyFile: string, sealed: boolean): Command =>
  sh`${sealed ? sh`plain_key` : sh`cat ${keyFile}`} | ${firstLine} | wc -c`;
