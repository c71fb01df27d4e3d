/**
 * What is there of a disk that was made by hand and is to be taken over: its header, as the device has it; whether the
 * key opens that; and what of the old way to bring it up is still in place, on either host.
 */
import type { KeyReading } from "../../schema/fields";
import { nbdServerConfig, nbdServerIncludeDir, runDir } from "../../schema/paths";
import type { Fact } from "../fact";
import { Command, sh } from "../host/sh";
import { dumpHeader, type LuksHeader, parseDump } from "./cryptsetup";
import { luks2HeaderRoom } from "./deviceLayout";
import { inMemory } from "./inMemory";
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

export interface Opened {
  /** `none`: neither reading of the key opens a key slot. `any`: nor does it take this key. */
  by: KeyReading | "none" | "any";
  /** Length of the first line, where that is the key. */
  bytes?: number;
}

/**
 * Tries a key both ways: all of the file, and its first line. Prints `whole`, `line BYTES` or `none`; `any` where one
 * that nobody has opens it, too: then somebody who knows the disk's key has made the header.
 */
export const tryKey = (header: string | Command, keyFile: string, sealed: boolean): Command => {
  const opens = (reading: KeyReading): Command =>
    withKey(keyFile, sealed, (key) => sh`${tryingKey} ${key} ${header}`, reading);
  return sh`refused() { [ $? = 2 ] || exit 1; }
if head -c 64 /dev/urandom | ${tryingKey} --key-file - ${header} 2>/dev/null; then echo any
elif refused; ${opens("whole")}; then echo whole
elif refused; ${opens("first line")}; then echo "line $(${firstLineBytes(keyFile, sealed)})"
else refused; echo none; fi`;
};

function parseOpened({ exitCode, stdout }: { exitCode: number; stdout: string }): Opened {
  if (exitCode === sealedStatus) return { by: "none" };
  const match = /^(?:(whole|none|any)|line ([0-9]+))\n$/.exec(stdout);
  if (exitCode !== 0 || !match) throw new Error("cryptsetup could not try the key");
  return match[2] === undefined
    ? { by: match[1] as Opened["by"] }
    : { by: "first line", bytes: Number(match[2]) };
}

/** Which reading of the key opens the header that the device has. Of a sealed key, wants the passphrase on stdin. */
export const deviceOpens: Fact<[device: string, keyFile: string, sealed: boolean], Opened> = {
  name: "handMade.deviceOpens",
  timeoutMs: 600_000 + derivationMs,
  command: (device, keyFile, sealed) =>
    sh`${unseal(keyFile, sealed)}${askCopy(device, tryKey(copy, keyFile, sealed))}`,
  parse: parseOpened,
};

/**
 * What on the client still has to do with the disk, in words: the open container and its mounts, an nbd-client that
 * netdisk did not start, and lines that would bring it up at a boot.
 */
export const remains: Fact<[name: string, luksUuid: string], string[]> = {
  name: "handMade.remains",
  command: (name, luksUuid) => sh`for dm in /sys/class/block/dm-*/dm; do
  case $(cat "$dm/uuid" 2>/dev/null) in CRYPT-LUKS[12]-${luksUuid.replaceAll("-", "")}-*) ;; *) continue ;; esac
  mapped=$(cat "$dm/name") || exit 1
  echo "/dev/mapper/$mapped is open"
  awk -v source="/dev/mapper/$mapped" '$1 == source { print source " is mounted at " $2 }' /proc/mounts || exit 1
done
for file in /proc/[0-9]*/comm; do
  { IFS= read -r comm <"$file"; } 2>/dev/null && [ "$comm" = nbd-client ] || continue
  pid=\${file%/comm} pid=\${pid#/proc/}
  said=$(tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)
  case " $said" in
    *" "${`${runDir}/`}*) ;;
    *" "${name}" "* | *" -name="${name}" "*) echo "an nbd-client runs (process $pid): $said" ;;
  esac
done
for tab in /etc/crypttab:1:${name} /etc/fstab:1:/dev/mapper/${name}; do
  file=\${tab%%:*}
  [ -e "$file" ] || continue
  awk -v name="\${tab##*:}" -v file="$file" '$1 == name { print file " has a line for it: " $0 }' "$file" || exit 1
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("what is left of the disk that was made by hand could not be seen");
    return stdout
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
  },
};

/**
 * Where nbd-server is told to serve the file or device under some name; also by the number of a loop device, which may
 * be this file's one day. `own`: a file that is not looked at.
 */
export const served: Fact<[path: string, own: string], string[]> = {
  name: "handMade.served",
  command: (path, own) => sh`for file in ${nbdServerConfig} ${nbdServerIncludeDir}/*.conf; do
  if ! [ -f "$file" ] || [ "$file" = ${own} ]; then continue; fi
  names=$(sed -n 's/^[[:space:]]*exportname[[:space:]]*=[[:space:]]*//p' "$file") || exit 1
  echo "$names" | while read -r served; do
    case $served in
      /dev/loop*) ;;
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
