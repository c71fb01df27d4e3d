/** What a LUKS header says, and whether a key opens it. */
import type { KeyReading } from "../../schema/fields";
import type { Fact } from "../fact";
import type { ExecResult } from "../host/host";
import { type Command, sh } from "../host/sh";
import { derivationMs, firstLineBytes, sealedStatus, tryingKey, unseal, withKey } from "./plainKey";

/** A key slot in use, and what it was made with: each one with its own. */
export interface KeySlot {
  slot: number;
  /** Bits. */
  keySize: number;
  hash: string;
  pbkdf: string;
}

export interface LuksHeader {
  type: "luks1" | "luks2";
  uuid: string;
  cipher: string;
  /** Bytes. */
  sectorSize: number;
  /** Start of the encrypted data on the device, bytes. */
  offset: number;
  slots: KeySlot[];
  /** Bytes from the start on that are in use: the metadata (LUKS2 has two copies) and the key slots' areas. */
  used: number;
  /** Each opening passes discards on, whatever its command says: `--persistent` wrote that into the header. */
  passesDiscards: boolean;
}

interface Metadata {
  config?: { flags?: string[] };
  keyslots: Record<
    string,
    { key_size: number; af: { hash: string }; kdf: { type: string }; area: { offset: string; size: string } }
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
  const { keyslots, segments, config } = JSON.parse(json) as Metadata;
  const segment = onlyOne("data segment", segments);
  if (segment.type !== "crypt") throw new Error(`unknown type of data segment: ${segment.type}`);
  const slots = Object.entries(keyslots);
  if (slots.length === 0) throw new Error("no key slot");
  return {
    type: "luks2",
    uuid,
    cipher: segment.encryption,
    sectorSize: segment.sector_size,
    offset: Number(segment.offset),
    slots: slots.map(([slot, { key_size, af, kdf }]) => ({
      slot: Number(slot),
      keySize: key_size * 8,
      hash: af.hash,
      pbkdf: kdf.type,
    })),
    used: Math.max(...slots.map(([, { area }]) => Number(area.offset) + Number(area.size))),
    passesDiscards: config?.flags?.includes("allow-discards") === true,
  };
}

/** LUKS1 has no JSON. Lengths of key slots are not said; an area begins and ends at a multiple of 4096 bytes. */
function parseLuks1(dump: string): LuksHeader {
  const value = (name: string, pattern = "\\S+", text = dump): string => {
    const found = new RegExp(`^\\t?${name}:[ \\t]+(${pattern})$`, "m").exec(text)?.[1];
    if (found === undefined) throw new Error(`no "${name}" in the answer of cryptsetup`);
    return found;
  };
  const bits = Number(value("MK bits", "[0-9]+"));
  const enabled = dump.split(/^Key Slot /m).filter((slot) => /^[0-7]: ENABLED$/m.test(slot));
  if (enabled.length === 0) throw new Error("no key slot");
  const ends = enabled.map((slot) => {
    const begin = Number(value("Key material offset", "[0-9]+", slot)) * 512;
    return Math.ceil((begin + (bits / 8) * Number(value("AF stripes", "[0-9]+", slot))) / 4096) * 4096;
  });
  return {
    type: "luks1",
    uuid: value("UUID", "[0-9a-f-]{36}"),
    cipher: `${value("Cipher name")}-${value("Cipher mode")}`,
    sectorSize: 512,
    offset: Number(value("Payload offset", "[0-9]+")) * 512,
    slots: enabled.map((slot) => ({
      slot: Number(slot[0]),
      keySize: bits,
      hash: value("Hash spec"),
      pbkdf: "pbkdf2",
    })),
    used: Math.max(...ends),
    passesDiscards: false,
  };
}

const notLuks = /is not a valid LUKS device|is too small/;

/** Understands `luksDump` of LUKS1, or `luksDump --dump-json-metadata` (without a line break at its end) and `luksUUID`. */
function parseHeader(exitCode: number, stdout: string): LuksHeader {
  if (exitCode === 0 && /^Version:[ \t]+1$/m.test(stdout)) return parseLuks1(stdout);
  const match = /^(\{[^]*\})\n?([0-9a-f-]{36})\n$/.exec(stdout);
  if (exitCode !== 0 || !match) throw new Error("unexpected answer of cryptsetup");
  return parseMetadata(match[2] ?? "", match[1] ?? "");
}

/** luksUUID says nothing at all about a damaged header, so luksDump goes first. What follows `if`, up to its end. */
const dump = (path: string | Command): Command =>
  sh`cryptsetup isLuks --type luks1 ${path}; then cryptsetup luksDump ${path}; else cryptsetup luksDump --dump-json-metadata ${path} && cryptsetup luksUUID ${path}; fi`;

/** Prints what `parseDump` understands. */
export const dumpHeader = (path: string | Command): Command => sh`if ${dump(path)}`;

/** Undefined where it is no LUKS header. */
export function parseDump({ exitCode, stdout, stderr }: ExecResult): LuksHeader | undefined {
  return exitCode === 1 && notLuks.test(stderr) ? undefined : parseHeader(exitCode, stdout);
}

/** Undefined where there is no such file, or one that is not a LUKS header. */
export const luksHeader: Fact<[path: string], LuksHeader | undefined> = {
  name: "cryptsetup.header",
  command: (path) => sh`if ! test -e ${path}; then exit 44; elif ${dump(path)}`,
  parse: (result) => (result.exitCode === 44 ? undefined : parseDump(result)),
};

/** Says in which slot. */
const testKey = (header: string, keyFile: string, sealed: boolean, reading?: KeyReading): Command =>
  sh`${unseal(keyFile, sealed)}${withKey(keyFile, sealed, (key) => sh`${tryingKey} --verbose ${key} ${header}`, reading)}`;

function slotOf({ exitCode, stdout }: ExecResult): number | undefined {
  if (exitCode === 2 || exitCode === sealedStatus) return undefined;
  const slot = /^Key slot ([0-9]+) unlocked\.$/m.exec(stdout)?.[1];
  if (exitCode !== 0 || slot === undefined) throw new Error("cryptsetup failed");
  return Number(slot);
}

/** Which of the header's key slots the key opens, if any; nothing is mapped. Of a sealed key, wants the passphrase on stdin. */
export const luksOpens: Fact<[header: string, keyFile: string, sealed?: boolean], number | undefined> = {
  name: "cryptsetup.opens",
  timeoutMs: derivationMs,
  command: (header, keyFile, sealed = false) => testKey(header, keyFile, sealed),
  parse: slotOf,
};

/**
 * The same of the key's first line, whose length, in bytes, is the key's. Only a disk that was made by hand has such a
 * key (docs/adopt.md).
 */
export const lineOpens: Fact<
  [header: string, keyFile: string, sealed: boolean],
  { keySlot: number; bytes: number } | undefined
> = {
  name: "cryptsetup.lineOpens",
  timeoutMs: derivationMs,
  command: (header, keyFile, sealed) =>
    sh`${testKey(header, keyFile, sealed, "first line")} && ${firstLineBytes(keyFile, sealed)}`,
  parse: (result) => {
    const keySlot = slotOf(result);
    if (keySlot === undefined) return undefined;
    const bytes = /^([0-9]+)\n$/m.exec(result.stdout)?.[1];
    if (bytes === undefined) throw new Error("cryptsetup failed");
    return { keySlot, bytes: Number(bytes) };
  },
};
