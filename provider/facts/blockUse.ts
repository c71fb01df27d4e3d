/** Who else on a host uses a block device, from the kernel's own lists. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface BlockUse {
  readOnly: boolean;
  /** User that owns the device node. */
  owner: string;
  /** In words: `mounted at /srv`, `swap`, `partition sdb1`, `dm-0 lies on it`. */
  users: string[];
}

/** All mount namespaces are looked at: what a container has mounted is in use. */
export const blockUse: Fact<[device: string], BlockUse> = {
  name: "block.use",
  command: (device) => sh`node=$(readlink -e ${device}) && cd "/sys/class/block/\${node##*/}" || exit 1
number=$(cat dev) && ro=$(cat ro) && owner=$(stat -c %U "$node") && test -r /proc/1/mountinfo || exit 1
echo "$ro $owner"
for part in */partition; do
  if test -e "$part"; then echo "partition \${part%%/*}"; fi
done
for holder in holders/*; do
  if test -e "$holder"; then echo "\${holder#*/} lies on it"; fi
done
cat /proc/[0-9]*/mountinfo 2>/dev/null | awk -v n="$number" '$3 == n { print "mounted at " $5 }' | sort -u
while read -r swap rest; do
  if test "$swap" -ef "$node"; then echo swap; fi
done </proc/swaps || exit 1`,
  parse: ({ exitCode, stdout }) => {
    const [first = "", ...users] = stdout.trimEnd().split("\n");
    const match = /^([01]) ([a-zA-Z0-9_-]+)$/.exec(first);
    if (exitCode !== 0 || !match) throw new Error("the kernel's lists could not be read");
    for (const line of users) {
      if (!/^(partition \S+|\S+ lies on it|mounted at .+|swap)$/.test(line))
        throw new Error(`unexpected line: ${line}`);
    }
    return { readOnly: match[1] === "1", owner: match[2] ?? "", users };
  },
};
