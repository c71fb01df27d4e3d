/** Which key a host is expected to show, and what it is called when it is compared. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { NetdiskError } from "../errors";
import { openSsh } from "./openSsh";

export interface HostKey {
  /** `ssh-ed25519` */
  type: string;
  /** The key as the protocol sends it. */
  blob: Buffer;
  /** As `ssh-keygen -l` prints it: `SHA256:` and 43 characters. */
  fingerprint: string;
}

/** Signature algorithms by key type, best first; ssh-rsa with SHA-1 is not among them. */
const algorithms = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
} as const;
export type HostKeyAlgorithm = (typeof algorithms)[keyof typeof algorithms][number];

const isKnownType = (type: string): type is keyof typeof algorithms => type in algorithms;

export const fingerprint = (blob: Buffer): string =>
  `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;

/** The key's type is its first field. */
export const typeOf = (blob: Buffer): string => blob.subarray(4, 4 + blob.readUInt32BE(0)).toString();

/**
 * To negotiate only what a key is known for: a host with several keys would otherwise show one that
 * nobody has recorded, and look like an impostor. All, when none is known: the error then shows its key.
 */
export function offered(keys: HostKey[]): HostKeyAlgorithm[] {
  const types = Object.keys(algorithms).filter(isKnownType);
  return types
    .filter((type) => keys.length === 0 || keys.some((key) => key.type === type))
    .flatMap((type) => algorithms[type]);
}

/** `ALGORITHM BASE64 [comment]`, as in a .pub file. */
export function parseHostKey(text: string): HostKey {
  const [type = "", base64 = ""] = text.trim().split(/\s+/);
  const blob = Buffer.from(base64, "base64");
  if (!isKnownType(type) || blob.length < 32 || typeOf(blob) !== type)
    throw new NetdiskError(
      "CONFIG",
      `hostKey: "${text.trim().slice(0, 60)}" is not a public key that can be compared. Copy the line of /etc/ssh/ssh_host_ed25519_key.pub on the host: \`ssh-ed25519 AAAA…\`.`,
    );
  return { type, blob, fingerprint: fingerprint(blob) };
}

/** What `ssh-keygen -F` prints: a comment per entry, then the entry as it is in the file. */
export function parseKnownHosts(stdout: string, source: string): { keys: HostKey[]; revoked: HostKey[] } {
  const keys: HostKey[] = [];
  const revoked: HostKey[] = [];
  for (const line of stdout.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const words = line.split(/\s+/);
    const marker = words[0]?.startsWith("@") ? words.shift() : undefined;
    const [, type = "", base64 = ""] = words;
    // Certificates are not spoken by ssh2: such an entry can prove nothing here, and other keys may.
    if (marker === "@cert-authority" || !isKnownType(type)) continue;
    if (marker !== undefined && marker !== "@revoked")
      throw new NetdiskError("UNREADABLE", `${source}: unknown marker ${marker}. Set hostKey instead.`);
    const key = parseHostKey(`${type} ${base64}`);
    (marker === undefined ? keys : revoked).push(key);
  }
  return { keys, revoked };
}

/** `[name]:port`, as known_hosts has it for ports other than 22. */
export const knownHostsName = (name: string, port: number | string): string =>
  Number(port) === 22 ? name : `[${name}]:${port}`;

/** Asks OpenSSH, which knows how to read hashed names. Keys that a file marks as revoked are left out. */
export async function lookUp(name: string, files: string[]): Promise<HostKey[]> {
  const keys: HostKey[] = [];
  const revoked: HostKey[] = [];
  for (const file of files.filter((path) => existsSync(path))) {
    const { exitCode, stdout, stderr } = await openSsh("ssh-keygen", ["-F", name, "-f", file]);
    if (exitCode !== 0 && (exitCode !== 1 || stdout !== "" || stderr !== ""))
      throw new NetdiskError(
        "UNREADABLE",
        `${file}: \`ssh-keygen -F ${name}\` ended with status ${exitCode}: ${stderr.trim()}. Repair the file, or set hostKey.`,
      );
    const found = parseKnownHosts(stdout, file);
    keys.push(...found.keys);
    revoked.push(...found.revoked);
  }
  return keys.filter((key) => !revoked.some((bad) => bad.blob.equals(key.blob)));
}
