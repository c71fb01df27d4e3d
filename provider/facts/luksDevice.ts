/**
 * How the header area of a device compares with the client's copy of the header. The bytes are read once,
 * with O_DIRECT, and judged on a copy in /run: cryptsetup would repair a header on the device by itself.
 */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";

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
 * Also the guard before a write.
 */
export const compareHeader = (device: string, copy: string, used: number | Command): Command => sh`(
used=${used}
t=$(mktemp -d /run/netdisk-header.XXXXXX) && trap 'rm -rf "$t"' EXIT && cd "$t" || exit 1
dd if=${device} of=device bs="$used" count=1 iflag=direct,fullblock status=none || exit 1
head -c "$used" ${copy} >copy && [ "$(stat -c %s device copy | sort -u)" = "$used" ] || exit 1
same() { cmp -s -i "$1" -n "$2" device copy; }
if cmp -s device copy; then echo equal
elif cmp -l device copy | awk '$2 != "0" { exit 1 }'; then echo zero
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
