/**
 * Whether anything was ever written to a device, by reading it: an encrypted volume without a label has no
 * signature, so "nothing recognised" proves nothing. Read, with O_DIRECT because the page cache of a device does not
 * see what device-mapper writes past it, are
 * - the first and last 16 MiB, where all signatures lie;
 * - 32 samples of 64 KiB evenly between them, 512 beside the disk;
 * - 64 KiB at each place where a common file system keeps a copy of its superblock, for one whose beginning was
 *   wiped: ext2/3/4 (groups 1, 3, 5, 7, 9, 25, 27, 49, with blocks of 1 and 4 KiB), btrfs (64 MiB, 256 GiB), XFS (each
 *   quarter; 1 TiB), NTFS (the middle); and of one in a first partition, which begins at 63 sectors, within these
 *   64 KiB, or at 1 MiB. The quarters of a partition are near those of its disk: beside the disk, 2.5 MiB around
 *   them are read.
 * Where all that is zero, blkid and wipefs must find nothing either; where it is not, they give it a name.
 */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";
import { provenEdge } from "./deviceLayout";

export interface BlankProof {
  blank: boolean;
  /** What was found, in words, where it is not blank. */
  found?: string;
}

/** Over a link each read takes its time; beside the disk it is a seek. */
export type Where = "over a link" | "beside the disk";

/** `around`: what is read besides the 64 KiB at each quarter, before them and after them. Multiples of 64 KiB. */
const depths: Record<Where, { samples: number; around: readonly [before: number, after: number] }> = {
  "over a link": { samples: 32, around: [0, 0] },
  "beside the disk": { samples: 512, around: [2 ** 20, 3 * 2 ** 19] },
};

/**
 * Prints `blank`, or lines of what was found: `data BYTE`, `random` where it does not compress, and
 * `signature TYPE UUID` for each that is known. From byte `from` on; signatures only where that is 0. Ends with a
 * status other than 0 when it cannot read. Also the guard in front of every command that formats.
 */
export const proveBlank = (device: string, from: number, where: Where = "over a link"): Command => sh`(
d=${device} from=${from} edge=${provenEdge} n=${depths[where].samples} sample=65536
signatures() {
  [ "$from" = 0 ] || return 0
  blkid -p -o value -s TYPE -s PTTYPE "$d"
  case $? in 0 | 2 | 8) ;; *) return 1 ;; esac
  wipefs --noheadings --output TYPE,UUID "$d"
}
named() { echo "$1" | awk 'NF && !seen[$1]++ { uuid[$1] = $2; order[++n] = $1 } NF && $2 != "" { uuid[$1] = $2 } END { for (i = 1; i <= n; i++) print "signature", order[i], uuid[order[i]] }'; }
bytes() { dd if="$d" bs=1M iflag=direct,skip_bytes,count_bytes,fullblock skip="$1" count="$2" status=none; }
zero() {
  out=$(bytes "$1" "$2" | cmp -n "$2" - /dev/zero 2>&1) && return
  case $out in *differ*) ;; *) echo "cannot read $2 bytes from byte $1 of $d: $out" >&2; exit 1 ;; esac
  first=$(($1 + $(echo "$out" | sed 's/.* \\([0-9]*\\), line.*/\\1/') - 1))
  echo "data $first"
  [ "$(bytes $((first / 4096 * 4096)) $sample 2>/dev/null | gzip | wc -c)" -lt $sample ] || echo random
  found=$(signatures) && named "$found"
  exit 0
}
size=$(blockdev --getsize64 "$d") || exit 1
[ "$size" -gt "$from" ] || { echo "$d has only $size bytes" >&2; exit 1; }
if [ $((size - from)) -le $((2 * edge + n * sample)) ]; then zero "$from" $((size - from)); else
  zero "$from" $edge
  zero $((size - edge)) $edge
  step=$(((size - from - 2 * edge) / n / 4096 * 4096)) i=0 samples= places=
  while [ $i -lt $n ]; do
    samples="$samples $((edge + i * step))"
    i=$((i + 1))
  done
  for start in 0 1048576; do
    for group in 1 3 5 7 9 25 27 49; do places="$places $((start + group * 8388608)) $((start + group * 134217728))"; done
    places="$places $((start + 67108864)) $((start + 274877906944)) $((start + 1099511623680))"
  done
  for part in 1 2 3; do
    at=$(((size - from) / 4 * part / 4096 * 4096 - ${depths[where].around[0]}))
    places="$places $at:$((sample + ${depths[where].around[0] + depths[where].around[1]}))"
  done
  wanted=0 read=
  for place in $places $samples; do
    case $place in *:*) length=\${place#*:} ;; *) length=$sample ;; esac
    place=$((from + \${place%:*}))
    if [ $place -ge $((from + edge)) ] && [ $((place + length)) -le $((size - edge)) ]; then read="$read $place:$length" wanted=$((wanted + length)); fi
  done
  # All at once is quicker; only where that fails is each looked at.
  if ! for place in $read; do bytes \${place%:*} \${place#*:} || break; done | cmp -s -n $wanted - /dev/zero; then
    for place in $read; do zero \${place%:*} \${place#*:}; done
    echo "$d could not be read as a whole" >&2
    exit 1
  fi
fi
found=$(signatures) || { echo "blkid or wipefs could not look at $d" >&2; exit 1; }
if [ -z "$found" ]; then echo blank; else named "$found"; fi
)`;

function describe(lines: string[]): string {
  const words = lines.map((line) => line.split(" "));
  const byte = words.find(([kind]) => kind === "data")?.[1];
  const signatures = words
    .filter(([kind]) => kind === "signature")
    .map(([, ...what]) => what.join(" ").trim());
  if (byte === undefined) return signatures.join(", ");
  const where = `data from byte ${byte} on`;
  if (signatures.length > 0) return `${signatures.join(", ")} (${where})`;
  const random = words.some(([kind]) => kind === "random");
  return `${where} that blkid and wipefs do not know${random ? "; it looks random: perhaps encrypted, with its header elsewhere or without one" : ""}`;
}

/** `from`: first byte that counts; what is found is given a name only when that is 0. */
export const blankProof: Fact<[device: string, from: number, where?: Where], BlankProof> = {
  name: "blank.proof",
  // 37 MiB, over links of 0.5 Mbit/s and more.
  timeoutMs: 900_000,
  command: proveBlank,
  parse: ({ exitCode, stdout }) => {
    const lines = stdout.trimEnd().split("\n");
    if (exitCode !== 0 || lines[0] === "") throw new Error("the device could not be read");
    if (lines.length === 1 && lines[0] === "blank") return { blank: true };
    const strange = lines.find((line) => !/^(data [0-9]+|random|signature .+)$/.test(line));
    if (strange !== undefined) throw new Error(`unexpected line: ${strange}`);
    return { blank: false, found: describe(lines) };
  },
};
