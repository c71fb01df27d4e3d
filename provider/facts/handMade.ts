/**
 * What is there of a disk that was made by hand and is to be taken over: its header, as the device has it; whether the
 * key opens that; and what of the old way to bring it up is still in place, on either host.
 */
import type { KeyReading } from "../../schema/fields";
import { deviceDir, nbdServerConfig, nbdServerIncludeDir, runDir, serveConfigDir } from "../../schema/paths";
import type { Fact } from "../fact";
import { Command, sh } from "../host/sh";
import { dumpHeader, type LuksHeader, parseDump } from "./cryptsetup";
import { luks2HeaderRoom } from "./deviceLayout";
import { inMemory } from "./inMemory";
import { uuids } from "./luksDevice";
import type { Called } from "./tabs";
import { derivationMs, firstLineBytes, sealedStatus, tryingKey, unseal, withKey } from "./plainKey";

/** What may be a device's header is read with O_DIRECT, and never shown to cryptsetup, which would repair it. */
export const readHeader = (device: string): Command =>
  sh`dd if=${device} bs=1M count=${luks2HeaderRoom / 2 ** 20} iflag=direct,fullblock status=none`;

/** Asks a copy in memory. */
const askCopy = (device: string, question: Command): Command => sh`(
{ ${inMemory("header")} && ${readHeader(device)} >"$t/header"; } || exit 45
${question}
)`;

const copy = new Command('"$t/header"');

/** Undefined where the device does not begin with a LUKS header. Over slow links 16 MiB take their time. */
export const deviceHeader: Fact<[device: string], LuksHeader | undefined> = {
  name: "handMade.header",
  timeoutMs: 600_000,
  command: (device) => askCopy(device, dumpHeader(copy)),
  parse: (result) => {
    if (result.exitCode === 45) throw new Error("the device cannot be read");
    return parseDump(result);
  },
};

/** `none`: neither reading of the key opens a key slot. `any`: nor does it take this key. `bytes`: the first line's length. */
export type Opened =
  | { by: "none" }
  | { by: "any" }
  | { by: "whole"; keySlot: number }
  | { by: "first line"; keySlot: number; bytes: number };

/**
 * Tries a key both ways: all of the file, and its first line. Prints `whole SLOT`, `line SLOT BYTES` or `none`; `any` where
 * one that nobody has opens it, too: then somebody who knows the disk's key has made the header.
 */
export const tryKey = (header: string | Command, keyFile: string, sealed: boolean): Command => {
  const opens = (reading: KeyReading): Command =>
    withKey(keyFile, sealed, (key) => sh`${tryingKey} --verbose ${key} ${header}`, reading);
  return sh`refused() { [ $? = 2 ] || exit 1; }
slot() { echo "$said" | sed -n 's/^Key slot \\([0-9]*\\) unlocked\\.$/\\1/p'; }
if head -c 64 /dev/urandom | ${tryingKey} --key-file - ${header} 2>/dev/null; then echo any
elif refused; said=$(${opens("whole")}); then echo "whole $(slot)"
elif refused; said=$(${opens("first line")}); then echo "line $(slot) $(${firstLineBytes(keyFile, sealed)})"
else refused; echo none; fi`;
};

function parseOpened({ exitCode, stdout }: { exitCode: number; stdout: string }): Opened {
  if (exitCode === sealedStatus) return { by: "none" };
  const match = /^(?:none|any|whole ([0-9]+)|line ([0-9]+) ([0-9]+))\n$/.exec(stdout);
  if (exitCode !== 0 || !match) throw new Error("cryptsetup could not try the key");
  const [, ofWhole, ofLine, bytes] = match;
  if (ofWhole !== undefined) return { by: "whole", keySlot: Number(ofWhole) };
  if (ofLine !== undefined) return { by: "first line", keySlot: Number(ofLine), bytes: Number(bytes) };
  return { by: stdout === "any\n" ? "any" : "none" };
}

/** Which reading of the key opens the header that the device has. Of a sealed key, wants the passphrase on stdin. */
export const deviceOpens: Fact<[device: string, keyFile: string, sealed: boolean], Opened> = {
  name: "handMade.deviceOpens",
  timeoutMs: 600_000 + derivationMs,
  command: (device, keyFile, sealed) =>
    sh`${unseal(keyFile, sealed)}${askCopy(device, tryKey(copy, keyFile, sealed))}`,
  parse: parseOpened,
};

export interface Remains {
  /** In words: open containers and their mounts, attached devices, an nbd-client that netdisk did not start. */
  found: string[];
  /** What is open. */
  called: Record<keyof Called, string[]>;
}

/**
 * What on the client still has to do with the disk. An nbd-client of today leaves its device to the kernel and ends, so the
 * devices are looked at: whose one is, says what lies on it, or its first bytes. Reading those may hang, and cannot be ended.
 */
export const remains: Fact<[name: string, luksUuid: string], Remains> = {
  name: "handMade.remains",
  timeoutMs: 180_000,
  command: (name, luksUuid) => sh`(
{ ${inMemory("remains")}; } || exit 1
${uuids}
on_it=${`CRYPT-LUKS[12]-${luksUuid.replaceAll("-", "")}-`}
for dm in /sys/class/block/dm-*/dm; do
  cat "$dm/uuid" 2>/dev/null | grep -q "^$on_it" || continue
  mapped=$(cat "$dm/name") || exit 1
  udevadm info --query=property --path="\${dm%/dm}" >"$t/udev" || exit 1
  echo "mapping $mapped $(sed -n 's/^ID_FS_UUID=//p' "$t/udev") $(sed -n 's/^ID_FS_LABEL_ENC=//p' "$t/udev")"
  awk -v source="/dev/mapper/$mapped" '$1 == source { print "mounted", source, $2 }' /proc/mounts || exit 1
done
for pid in /sys/block/nbd*/pid; do
  node=\${pid%/pid} node=\${node##*/}
  [ -e "$pid" ] || continue
  for link in ${deviceDir}/*; do [ "$(readlink -e "$link")" != "/dev/$node" ] || continue 2; done
  above=$(cat /sys/block/$node/holders/*/dm/uuid 2>/dev/null)
  if [ -z "$above" ]; then
    { dd if="/dev/$node" of="$t/$node" bs=32768 count=1 iflag=fullblock,direct status=none; echo $? >"$t/$node.ended"; } </dev/null >/dev/null 2>&1 &
    tries=0
    until [ -s "$t/$node.ended" ] || [ $tries -ge 50 ]; do sleep 0.2; tries=$((tries + 1)); done
    if [ "$(cat "$t/$node.ended" 2>/dev/null):$(stat -c %s "$t/$node" 2>/dev/null)" != 0:32768 ]; then echo "mute $node"
    elif uuids "$t/$node" | grep -qx ${luksUuid}; then echo "attached $node"; fi
  elif echo "$above" | grep -q "^$on_it"; then echo "attached $node"; fi
done
for file in /proc/[0-9]*/comm; do
  { IFS= read -r comm <"$file"; } 2>/dev/null && [ "$comm" = nbd-client ] || continue
  pid=\${file%/comm} pid=\${pid#/proc/}
  said=$(tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)
  case " $said" in
    *" "${`${runDir}/`}*) ;;
    *" "${name}" "* | *" -name="${name}" "*) echo "client $pid $said" ;;
  esac
done
)`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("what is left of the disk that was made by hand could not be seen");
    const seen: Remains = { found: [], called: { mappings: [], uuids: [], labels: [] } };
    for (const line of stdout.split("\n").filter((text) => text !== "")) {
      const [kind, first = "", ...rest] = line.split(" ");
      const more = rest.join(" ").trim();
      if (first === "") throw new Error(`unexpected line: ${line}`);
      if (kind === "mapping") {
        const [uuid, label] = rest;
        seen.called.mappings.push(first);
        if (uuid) seen.called.uuids.push(uuid);
        if (label) seen.called.labels.push(label);
        seen.found.push(`/dev/mapper/${first} is open`);
      } else if (kind === "mounted") seen.found.push(`${first} is mounted at ${more}`);
      else if (kind === "attached") seen.found.push(`/dev/${first} is attached`);
      else if (kind === "mute")
        seen.found.push(`/dev/${first} is attached and cannot be read, so that nobody can tell whose it is`);
      else if (kind === "client") seen.found.push(`an nbd-client runs (process ${first}): ${more}`);
      else throw new Error(`unexpected line: ${line}`);
    }
    return seen;
  },
};

/**
 * Where nbd-server is told to serve the file or device under some name, be it for sessions. `own`: files that are not looked
 * at. `byNumber`: also where it is told a loop device by its number, which may be this file's one day.
 */
export const served: Fact<[path: string, own: readonly string[], byNumber: boolean], string[]> = {
  name: "handMade.served",
  command: (
    path,
    own,
    byNumber,
  ) => sh`for file in ${nbdServerConfig} ${nbdServerIncludeDir}/*.conf ${serveConfigDir}/*.conf; do
  [ -f "$file" ] || continue
  for own in ${[...own]}; do [ "$file" != "$own" ] || continue 2; done
  names=$(sed -n 's/^[[:space:]]*exportname[[:space:]]*=[[:space:]]*//p' "$file") || exit 1
  echo "$names" | while read -r served; do
    case ${byNumber ? "yes" : "no"}$served in
      yes/dev/loop*) ;;
      *) [ "$served" -ef ${path} ] || continue ;;
    esac
    echo "$file (exportname = $served)"
  done
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("nbd-server's configuration could not be read");
    const lines = stdout.split("\n").filter((line) => line !== "");
    const strange = lines.find((line) => !/^\/.+ \(exportname = .+\)$/.test(line));
    if (strange !== undefined) throw new Error(`unexpected line: ${strange}`);
    return lines;
  },
};
