/**
 * How a LUKS header comes to be. What a kill leaves, and what the next run makes of it:
 * - before the note: nothing; begins anew.
 * - after the note, or during luksFormat: the device untouched (the header is made in a file); begins anew.
 * - after the header file has its name: the file is whole; it is written to the device.
 * - while it is written: the device holds zeros and bytes of the file (`zero`, `ours`); written again.
 * - after that, before the note is removed: `equal` with a note; the note is removed.
 */
import { dirname } from "node:path";
import type { luks } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import { headerFile } from "../../schema/paths";
import { proveBlank } from "../facts/blank";
import { luks2HeaderRoom } from "../facts/deviceLayout";
import { inUse, refuseUsed } from "../facts/deviceUsers";
import { readHeader, tryKey } from "../facts/handMade";
import { compareHeader } from "../facts/luksDevice";
import { isSealed, keyInput, unseal, withKey } from "../facts/plainKey";
import { Command, sh } from "../host/sh";
import { clearIntent, intentPath, noteIntent } from "../intent";
import type { RunStep } from "../resource";

type Wishes = Inputs<typeof luks>;

/** Where the encrypted data begins: room for a header of the default size. */
const dataOffset = (type: Wishes["type"]): number => (type === "luks1" ? 2 * 2 ** 20 : luks2HeaderRoom);

export const formatIntent = (name: string): string => intentPath("luks", name);

const formatOf = (device: string): string => `luksFormat of ${device}, `;

/** What the note names. The size is the only thing that tells one blank device from another. */
export const formatIdentity = (device: string, size: number): string => `${formatOf(device)}${size} bytes`;

/** The same, worked out on the host. */
const identityOnHost = (device: string): Command =>
  sh`${formatOf(device)}"$(blockdev --getsize64 ${device}) bytes"`;

/**
 * Length of a header's used part: to the end of the last key slot's area. LUKS1 gives its begin in sectors, and what
 * its length is made of; as facts/cryptsetup.ts reckons.
 */
export const usedPart = (header: string): Command =>
  sh`cryptsetup luksDump ${header} | awk '/Area offset:/ { sub(/.*:/, ""); o = $1 } /Area length:/ { sub(/.*:/, ""); if (o + $1 > n) n = o + $1 } /^MK bits:/ { bits = $NF } /Key material offset:/ { o = $NF * 512 } bits && /AF stripes:/ { e = int((o + bits / 8 * $NF + 4095) / 4096) * 4096; if (e > n) n = e } END { print n + 0 }'`;

/** What lies behind the used part means nothing: zeros keep the file small, on disk and sealed. */
export const trim = (header: string, size: number | Command): Command =>
  sh`used=$(${usedPart(header)}) && [ "$used" -gt 32768 ] && truncate -s "$used" ${header} && truncate -s ${size} ${header} && chmod 0600 ${header} && sync ${header}`;

/**
 * The keys that netdisk makes are random bytes: nobody guesses them, so the key derivation has nothing to
 * slow down. Fixed costs (RFC 9106's second choice: 64 MiB) instead of a benchmark make luksFormat and each
 * start of the disk take under a second on any machine, and fit into small ones.
 */
export function derivation({ hash, pbkdf, iterTime }: Wishes): (string | number)[] {
  const argon2 = pbkdf === "argon2id";
  const time =
    iterTime === undefined ? ["--pbkdf-force-iterations", argon2 ? 4 : 100_000] : ["--iter-time", iterTime];
  const memory = argon2 ? ["--pbkdf-memory", 65536, "--pbkdf-parallel", 1] : [];
  return ["--hash", hash, "--pbkdf", pbkdf, ...time, ...memory];
}

export function makeHeader(inputs: Wishes): RunStep {
  const { name, device, keyFile, type, cipher, keySize, sectorSize } = inputs;
  const sealed = isSealed(inputs);
  const kept = headerFile(name);
  const made = `${kept}.new`;
  const format = withKey(
    keyFile,
    sealed,
    (key) =>
      sh`cryptsetup luksFormat -q --type ${type} --header ${made} --offset ${dataOffset(type) / 512} --cipher ${cipher} --key-size ${keySize} ${derivation(inputs)} --sector-size ${sectorSize} ${key} ${device}`,
  );
  return {
    do: "run",
    title: "cryptsetup luksFormat (into the client's header file)",
    command: sh`${unseal(keyFile, sealed)}umask 077; ${refuseUsed(device)}
install -d -m 0700 ${dirname(kept)} && rm -f ${made} &&
blank=$( ${proveBlank(device, 0)} ) && { [ "$blank" = blank ] || { echo ${device} is not blank: "$blank" >&2; exit 1; }; } &&
identity=${identityOnHost(device)} && ${noteIntent(formatIntent(name), new Command('"$identity"'))} &&
${format} &&
${trim(made, dataOffset(type))} && { ln -T ${made} ${kept} && rm ${made}; } && sync ${dirname(kept)}`,
    stdin: keyInput(inputs),
    inUse,
    timeoutMs: 1_200_000,
  };
}

/**
 * The one time that a device's header is taken: what the server may have made of it is looked for in the very bytes that
 * are kept. Its UUID and its cipher must be the disk's, the key must open it, and a key that nobody has must not: a
 * header that opens with that holds a volume key which whoever made it knows.
 */
export function adoptHeader(inputs: Wishes, adopt: string, offset: number): RunStep {
  const { name, device, keyFile, cipher } = inputs;
  const sealed = isSealed(inputs);
  const kept = headerFile(name);
  const made = `${kept}.new`;
  const refuse = (found: string) => sh`{ echo ${`${found}: the header was not taken`} >&2; exit 1; }`;
  return {
    do: "run",
    title: "copy the LUKS header of the disk to adopt to the client",
    command: sh`${unseal(keyFile, sealed)}umask 077
install -d -m 0700 ${dirname(kept)} && rm -f ${made} && ${readHeader(device)} >${made} || exit 1
[ "$(cryptsetup luksUUID ${made})" = ${adopt} ] || ${refuse(`${device} is not the LUKS container ${adopt} any more`)}
[ "$(cryptsetup luksDump ${made} | awk '/^Cipher name:/ { n = $NF } /^Cipher mode:/ { print n "-" $NF } /^\tcipher:/ { print $NF }')" = ${cipher} ] || ${refuse(`${device} has another cipher than ${cipher}`)}
try_key() { ${tryKey(made, keyFile, sealed)}; }
opened=$(try_key) || exit 1
case $opened in whole* | line*) ;; *) ${refuse(`${device} does not open with ${keyFile}, or with any key`)} ;; esac
${trim(made, offset)} && { ln -T ${made} ${kept} && rm ${made}; } && sync ${dirname(kept)}`,
    stdin: keyInput(inputs),
    timeoutMs: 1_200_000,
  };
}

/** Overwrites only zeros, or what is provably this container's own header. */
export function writeHeader({ name, device }: Wishes): RunStep {
  const kept = headerFile(name);
  return {
    do: "run",
    title: "write the LUKS header to the device",
    command: sh`relation() ${compareHeader(device, kept, new Command('"$used"'))}
used=$(${usedPart(kept)}) && found=$(relation) || exit 1
case $found in equal | ours | zero) ;; *) echo ${device} has another header or other data now >&2; exit 1 ;; esac
dd if=${kept} of=${device} bs="$used" count=1 iflag=fullblock conv=nocreat,notrunc,fsync status=none && found=$(relation) || exit 1
[ "$found" = equal ] || { echo ${device} does not hold what was written to it >&2; exit 1; }
${clearIntent(formatIntent(name))}`,
    timeoutMs: 300_000,
  };
}

export const finishHeader = ({ name }: Wishes): RunStep => ({
  do: "run",
  title: "remove the note of the finished luksFormat",
  command: clearIntent(formatIntent(name)),
});
