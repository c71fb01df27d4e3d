/**
 * Whether anything was ever written to a device, by reading it: an encrypted volume without a label has no
 * signature, so "nothing recognised" proves nothing. Read are the first and last 16 MiB and 32 samples of
 * 64 KiB evenly between them (all of it where that is less), with O_DIRECT: the page cache of a device does
 * not see what device-mapper writes past it. Signatures lie in what is read whole; blkid only gives a name to
 * what was found, so that it need not judge bytes that a server may have made for it.
 */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";

export interface BlankProof {
  blank: boolean;
  /** What was found, where it is not blank. */
  found?: string;
}

/**
 * Prints `blank`, or what was found from byte `from` on; ends with a status other than 0 when it cannot read.
 * Also the guard in front of every command that formats.
 */
export const proveBlank = (device: string, from: number): Command => sh`(
d=${device} from=${from} edge=16777216 n=32
name() {
  signature=
  [ "$from" != 0 ] || signature=$(blkid -p -o export -s TYPE -s PTTYPE -s UUID "$d" | sed /^DEVNAME=/d | tr '\\n' ' ')
  echo "$1\${signature:+ (blkid: \${signature% })}"
}
zero() {
  out=$(dd if="$d" bs=1M iflag=direct,skip_bytes,count_bytes,fullblock skip="$1" count="$2" status=none | cmp -n "$2" - /dev/zero 2>&1) && return
  case $out in *differ*) name "data in the $2 bytes from byte $1 on"; exit 0 ;; esac
  echo "cannot read $2 bytes from byte $1 of $d: $out" >&2; exit 1
}
size=$(blockdev --getsize64 "$d") || exit 1
[ "$size" -gt "$from" ] || { echo "$d has only $size bytes" >&2; exit 1; }
if [ $((size - from)) -le $((2 * edge)) ]; then zero "$from" $((size - from)); else
  zero "$from" $edge
  zero $((size - edge)) $edge
  step=$(((size - from - 2 * edge) / n / 4096 * 4096)) i=0
  while [ $i -lt $n ]; do
    [ $step -lt 65536 ] && len=$step || len=65536
    [ "$len" = 0 ] || zero $((from + edge + i * step)) "$len"
    i=$((i + 1))
  done
fi
echo blank
)`;

/** `from`: first byte that counts; what is found is given a name only when that is 0. */
export const blankProof: Fact<[device: string, from: number], BlankProof> = {
  name: "blank.proof",
  // 34 MiB, over links of 0.5 Mbit/s and more.
  timeoutMs: 600_000,
  command: proveBlank,
  parse: ({ exitCode, stdout }) => {
    const found = stdout.trim();
    if (exitCode !== 0 || found === "") throw new Error("the device could not be read");
    return found === "blank" ? { blank: true } : { blank: false, found };
  },
};
