/** Who uses a block device: whoever has it, or a file of what it holds, open; what lies on it; where it is mounted. */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";

/**
 * Shell functions that want the device's `$node`, its name `$dm` in /sys/class/block, its `$major` and `$minor`, and its
 * `$number` MAJOR:MINOR. `openers` prints a line for each process, `layers` for each thing of the kernel's that lies on
 * it, `mounted` for each path in any namespace; `mounts FILE` the paths of a mountinfo file with their peer groups.
 */
export const deviceUsers = sh`# A file system lives as long as any namespace has it mounted: looking at our own mounts is not enough.
mounts() { awk -v n="$number" '$3 == n { peer = ""; for (i = 7; $i != "-"; i++) { split($i, a, ":"); if (a[1] ~ /shared|master/) peer = peer " " a[2] }; print $5 peer }' "$1"; }
said_of() { echo "  process $1 ($(cat /proc/$1/comm 2>/dev/null)) $2"; }
openers() {
  st=$(((minor & 255) | (major << 8) | ((minor & ~255) << 12)))
  {
    printf '%s\\0' /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/* |
      xargs -0 stat -L -c '%d %t:%T %n' 2>/dev/null |
      awk -v st="$st" -v rdev="$(printf '%x:%x' $major $minor)" '$1 == st || $2 == rdev { split($3, p, "/"); print p[3] }'
    grep -ls " $(printf '%02x:%02x' $major $minor) " /proc/[0-9]*/maps | cut -d / -f 3
  } | sort -un | while read -r pid; do
    said_of $pid "has a file, a directory or the device open"
  done
}
layers() {
  for part in /sys/class/block/$dm/*/partition; do
    if test -e "$part"; then part=\${part%/partition} && echo "  the partition \${part##*/}"; fi
  done
  for other in /sys/class/block/$dm/holders/*; do
    if test -e "$other"; then echo "  the block device \${other##*/} lies on it"; fi
  done
  cat /proc/swaps 2>/dev/null | while read -r swap rest; do
    if test "$swap" -ef $node; then echo "  swap"; fi
  done
}
mounted() { cat /proc/[0-9]*/mountinfo 2>/dev/null | mounts - | cut -d ' ' -f 1 | sort -u | sed 's/^/  mounted at /'; }`;

/** Sets what the functions above want, and fails where the kernel's lists cannot be read. */
const look = (
  device: string,
): Command => sh`node=$(readlink -e ${device}) && dm=\${node##*/} && number=$(cat /sys/class/block/$dm/dev) &&
  test -r /proc/1/mountinfo || exit 1
major=\${number%:*} minor=\${number#*:}
${deviceUsers}`;

/** The lines of users, each indented. */
function usersIn(lines: string[]): string[] {
  const strange = lines.find((line) => !line.startsWith("  "));
  if (strange !== undefined) throw new Error(`unexpected line: ${strange}`);
  return lines.map((line) => line.trim());
}

/**
 * Prints a line for each user of a device that is about to be formatted, of those that stay for 4 seconds: udev, or a
 * command that only passes by, is none, nor is the nbd-client that holds the device. The last question is the kernel's
 * own: whether it would give the device to one user alone, which it refuses for what is mounted, held by device-mapper,
 * md or bcache, or swapped to.
 */
const usersOf = (device: string): Command => sh`(
${look(device)}
users() {
  holder=$(cat /sys/class/block/$dm/pid 2>/dev/null)
  openers | grep -v "^  process \${holder:-none} "
  layers
  mounted
}
tries=0
while found=$(users)
  said=$(perl -MFcntl -e 'sysopen(my $f, shift, O_RDONLY | O_EXCL) or die "$!\\n"' $node 2>&1) || case $said in
    *busy*) [ -n "$found" ] || found="  somebody who wants it alone (the kernel says: $said)" ;;
    *) echo "$node: $said" >&2; exit 1 ;;
  esac
  [ -n "$found" ] && [ $tries -lt 4 ]
do
  tries=$((tries + 1))
  sleep 1
done
[ -z "$found" ] || printf '%s\\n' "$found"
)`;

/** Exit status of the refusal. */
export const inUse = 75;

/** Ends the command with the status `inUse` and the users' names where there are any. */
export const refuseUsed = (device: string): Command => sh`found=$${usersOf(device)} || exit 1
if [ -n "$found" ]; then
  echo ${`${device} is in use, and left as it was:`} >&2
  echo "$found" >&2
  echo "End these users, or unmount what they have mounted; then run the same again." >&2
  exit ${inUse}
fi`;

/** Words that name the users; none: it may be formatted, or taken for a disk, if it is blank. */
export const usersOfDevice: Fact<[device: string], string[]> = {
  name: "deviceUsers.of",
  command: usersOf,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("cannot find out who uses the device");
    return usersIn(stdout.split("\n").filter((line) => line !== ""));
  },
};

export interface BlockUse {
  readOnly: boolean;
  /** User that owns the device node. */
  owner: string;
  /** In words: `mounted at /srv`, `swap`, `the partition sdb1`, `the block device dm-0 lies on it`. */
  layers: string[];
}

/** What a device that nbd-server may have open is used for besides: processes are not looked at, nor waited for. */
export const blockUse: Fact<[device: string], BlockUse> = {
  name: "deviceUsers.layers",
  command: (device) => sh`${look(device)}
ro=$(cat /sys/class/block/$dm/ro) && owner=$(stat -c %U "$node") || exit 1
echo "$ro $owner"
layers
mounted`,
  parse: ({ exitCode, stdout }) => {
    const [first = "", ...lines] = stdout.trimEnd().split("\n");
    const match = /^([01]) ([a-zA-Z0-9_-]+)$/.exec(first);
    if (exitCode !== 0 || !match) throw new Error("the kernel's lists could not be read");
    return { readOnly: match[1] === "1", owner: match[2] ?? "", layers: usersIn(lines) };
  },
};
