/** The keys that a login is tried with, in OpenSSH's order, and what to say when none of them is accepted. */
import { readFile } from "node:fs/promises";
import type ssh2 from "ssh2";
import type { AnyAuthMethod, ParsedKey } from "ssh2";
import { NetdiskError } from "../errors";
import type { Target } from "./sshConfig";

type Ssh2 = typeof ssh2;

export interface Attempts {
  /** Next method for ssh2; undefined when all are used up. */
  next(): AnyAuthMethod | undefined;
  /** What was tried or could not be, for the error. */
  tried: string[];
  cures: string[];
}

const lineOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");

/** The public key that an OpenSSH private key file begins with, readable also when the rest is encrypted. */
function publicPart(file: string): Buffer | undefined {
  const base64 = /BEGIN OPENSSH PRIVATE KEY-----([^-]+)-----END/.exec(file)?.[1];
  const data = Buffer.from(base64 ?? "", "base64");
  const magic = "openssh-key-v1\0";
  if (data.subarray(0, magic.length).toString() !== magic) return undefined;
  let at = magic.length;
  const field = (): Buffer => {
    const start = at + 4;
    at = start + data.readUInt32BE(at);
    return data.subarray(start, at);
  };
  // Cipher, key derivation and its options; then the number of keys, which is always 1.
  field();
  field();
  field();
  at += 4;
  return field();
}

/** The agent's keys that belong to one of the files first, and only those with IdentitiesOnly. */
function agentWith(lib: Ssh2, target: Target, socket: string, wanted: Buffer[], say: (what: string) => void) {
  const only = target.identitiesOnly || target.explicitIdentity;
  return new (class extends lib.OpenSSHAgent {
    override getIdentities(done: (error?: Error | null, keys?: ParsedKey[]) => void): void {
      super.getIdentities((error, keys) => {
        if (error) {
          say(`agent ${socket} (${error.message})`);
          done(null, []);
          return;
        }
        // ssh2 hands out parsed keys here; its type also allows raw ones.
        const all = (keys ?? []) as ParsedKey[];
        const isWanted = (key: ParsedKey) => wanted.some((blob) => blob.equals(key.getPublicSSH()));
        const usable = [...all.filter(isWanted), ...(only ? [] : all.filter((key) => !isWanted(key)))];
        say(`agent ${socket} (${usable.length} of its ${all.length} keys)`);
        done(null, usable);
      });
    }
  })(socket);
}

export async function attemptsFor(lib: Ssh2, target: Target): Promise<Attempts> {
  const methods: { said: string; method: AnyAuthMethod }[] = [];
  const tried: string[] = [];
  const cures: string[] = [];
  const wanted: Buffer[] = [];
  const username = target.user;
  const passphrase = target.keyPassphrase?.reveal();

  if (target.privateKey !== undefined) {
    const key = lib.utils.parseKey(target.privateKey.reveal(), passphrase);
    if (key instanceof Error)
      throw new NetdiskError(
        "CONFIG",
        `${target.name}: privateKey cannot be used: ${key.message}. Set it to a private key in OpenSSH or PEM format, and keyPassphrase where it is encrypted.`,
      );
    methods.push({ said: "privateKey", method: { type: "publickey", username, key } });
  } else {
    for (const file of target.identityFiles) {
      let text: Buffer;
      try {
        text = await readFile(file);
      } catch (error) {
        if (!isMissing(error)) tried.push(`${file} (${lineOf(error)})`);
        else if (target.explicitIdentity)
          throw new NetdiskError(
            "CONFIG",
            `${target.name}: identityFile ${file} does not exist. Name a private key file of this machine, or leave identityFile out: then ssh_config and the agent count.`,
          );
        continue;
      }
      const plain = lib.utils.parseKey(text);
      const isEncrypted = plain instanceof Error && /encrypted/i.test(plain.message);
      const key = isEncrypted && passphrase !== undefined ? lib.utils.parseKey(text, passphrase) : plain;
      const blob = key instanceof Error ? publicPart(text.toString()) : key.getPublicSSH();
      if (blob) wanted.push(blob);
      if (!(key instanceof Error)) {
        methods.push({ said: file, method: { type: "publickey", username, key } });
      } else if (isEncrypted) {
        tried.push(`${file} (encrypted${passphrase === undefined ? "" : ", and not with keyPassphrase"})`);
        cures.push(`Put the encrypted key into the agent (\`ssh-add ${file}\`), or set keyPassphrase.`);
      } else {
        tried.push(`${file} (${key.message})`);
      }
    }
    if (target.agent !== undefined) {
      const agent = agentWith(lib, target, target.agent, wanted, (said) => tried.push(said));
      methods.push({ said: "", method: { type: "agent", username, agent } });
    }
  }
  return {
    next() {
      const method = methods.shift();
      if (method?.said) tried.push(method.said);
      return method?.method;
    },
    tried,
    cures,
  };
}
