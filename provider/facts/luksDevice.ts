/**
 * How the header area of a device compares with the client's copy of the header. The bytes are read once,
 * with O_DIRECT, and judged on a copy in /run: cryptsetup would repair a header on the device by itself.
 */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";
import { inMemory } from "./inMemory";

/**
 * - `equal`: byte for byte the copy.
 * - `ours`: differs, but one of its two headers carries the copy's LUKS UUID, or the key slots are the copy's.
 * - `zero`: every byte is either zero or the copy's: putting the copy there destroys nobody's data.
 * - `other`: anything else.
 */
export type HeaderRelation = (typeof relations)[number];
const relations = ["equal", "ours", "zero", "other"] as const;

/**
 * Prints the relation; `used` is the length of the header in bytes, or a quoted expansion that gives it.
 * Also the guard before a write. A comparison that could not be made is none of the relations: status 1.
 */
export const compareHeader = (device: string, copy: string, used: number | Command): Command => sh`(
used=${used}
{ ${inMemory("header")} && cd "$t"; } || exit 1
dd if=${device} of=device bs="$used" count=1 iflag=direct,fullblock status=none || exit 1
head -c "$used" ${copy} >copy && [ "$(stat -c %s device copy | sort -u)" = "$used" ] || exit 1
same() {
  cmp -s -i "$1" -n "$2" device copy && return
  [ $? = 1 ] || exit 1
  return 1
}
cmp -l device copy >differ
case $? in 0) echo equal; exit 0 ;; 1) ;; *) exit 1 ;; esac
data=$(awk '$2 != "0" { n++ } END { print n + 0 }' differ) && [ -n "$data" ] || exit 1
if [ "$data" = 0 ]; then echo zero
elif { same 0 6 && same 168 40; } || { same 16384 6 && same 16552 40; } || same 32768 "$((used - 32768))"; then echo ours
else echo other; fi
)`;

export const headerRelation: Fact<[device: string, copy: string, used: number], HeaderRelation> = {
  name: "luksDevice.relation",
  command: compareHeader,
  parse: ({ exitCode, stdout }) => {
    const relation = relations.find((word) => `${word}\n` === stdout);
    if (exitCode !== 0 || relation === undefined) throw new Error("the headers could not be compared");
    return relation;
  },
};

/**
 * Shell function `uuids PATH`: prints the LUKS UUIDs at the places of the first and the second header, each once. Bytes that
 * nobody parses; of a device those that it has now, not those in memory.
 */
export const uuids = sh`uuids() {
  for at in 168 16552; do
    dd if="$1" bs=32768 count=1 iflag="fullblock$(test ! -b "$1" || echo ,direct)" status=none | tail -c +$((at + 1)) | head -c 36 | grep -axE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
  done | sort -u
}`;

/** Of a device or a file; none where there is no file, or no UUID at these places. */
export const rawUuid: Fact<[path: string], string[]> = {
  name: "luksDevice.uuid",
  command: (path) => sh`test -e ${path} || exit 44
head -c 1 ${path} >/dev/null || exit 45
${uuids}
uuids ${path}`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return [];
    if (exitCode !== 0) throw new Error("the header cannot be read");
    return stdout.split("\n").filter((line) => line !== "");
  },
};
