/** What a LUKS2 header says, and whether a key opens it. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface LuksHeader {
  uuid: string;
  cipher: string;
  /** Bits. */
  keySize: number;
  /** Bytes. */
  sectorSize: number;
  pbkdf: string;
  /** Start of the encrypted data on the device, bytes. */
  offset: number;
  /** Bytes from the start on that are in use: both copies of the metadata and the key slots' areas. */
  used: number;
}

interface Metadata {
  keyslots: Record<
    string,
    { key_size: number; kdf: { type: string }; area: { offset: string; size: string } }
  >;
  segments: Record<string, { type: string; offset: string; encryption: string; sector_size: number }>;
}

function onlyOne<T>(what: string, entries: Record<string, T>): T {
  const [one, ...more] = Object.values(entries);
  if (one === undefined || more.length > 0)
    throw new Error(`expected one ${what}, found ${Object.keys(entries).length}`);
  return one;
}

function parseMetadata(uuid: string, json: string): LuksHeader {
  const { keyslots, segments } = JSON.parse(json) as Metadata;
  const segment = onlyOne("data segment", segments);
  if (segment.type !== "crypt") throw new Error(`unknown type of data segment: ${segment.type}`);
  const slots = Object.values(keyslots);
  const [slot] = slots;
  if (!slot) throw new Error("no key slot");
  return {
    uuid,
    cipher: segment.encryption,
    keySize: slot.key_size * 8,
    sectorSize: segment.sector_size,
    pbkdf: slot.kdf.type,
    offset: Number(segment.offset),
    used: Math.max(...slots.map(({ area }) => Number(area.offset) + Number(area.size))),
  };
}

const notLuks = /is not a valid LUKS device|is too small/;

/** Understands `luksDump --dump-json-metadata` (without a line break at its end) followed by `luksUUID`. */
function parseHeader(exitCode: number, stdout: string): LuksHeader {
  const match = /^(\{[^]*\})\n?([0-9a-f-]{36})\n$/.exec(stdout);
  if (exitCode !== 0 || !match) throw new Error("unexpected answer of cryptsetup");
  return parseMetadata(match[2] ?? "", match[1] ?? "");
}

/** Undefined where there is no such file, or one that is not a LUKS2 header. */
export const luksHeader: Fact<[path: string], LuksHeader | undefined> = {
  name: "cryptsetup.header",
  // luksUUID says nothing at all about a damaged header, so luksDump goes first.
  command: (path) =>
    sh`if test -e ${path}; then cryptsetup luksDump --dump-json-metadata ${path} && cryptsetup luksUUID ${path}; else exit 44; fi`,
  parse: ({ exitCode, stdout, stderr }) => {
    if (exitCode === 44) return undefined;
    if (exitCode === 1 && notLuks.test(stderr)) return undefined;
    return parseHeader(exitCode, stdout);
  },
};

/** Whether the key opens one of the header's key slots; nothing is mapped. */
export const luksOpens: Fact<[header: string, keyFile: string], boolean> = {
  name: "cryptsetup.opens",
  command: (header, keyFile) => sh`cryptsetup open --test-passphrase --key-file ${keyFile} ${header}`,
  parse: ({ exitCode }) => {
    if (exitCode === 0) return true;
    if (exitCode === 2) return false;
    throw new Error("cryptsetup failed");
  },
};
