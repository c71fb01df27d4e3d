/** Who uses a file as a whole: whoever has it open, loop devices over it, and the kernel as swap. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Words that name the users, by the file's inode: another path of it is no hiding place. */
export const usersOfFile: Fact<[path: string], string[]> = {
  name: "fileUsers.of",
  command: (
    path,
  ) => sh`file=$(stat -L -c '%d:%i' -- ${path}) && loops=$(losetup --noheadings --output NAME --associated ${path}) || exit 1
device=\${file%:*} inode=\${file#*:}
mapped=$(printf ' %02x:%02x %s ' $((device >> 8 & 4095)) $((device & 255 | device >> 12 & 1048320)) $inode)
{
  printf '%s\\0' /proc/[0-9]*/fd/* | xargs -0 stat -L -c '%d:%i %n' 2>/dev/null |
    awk -v file="$file" '$1 == file { split($2, p, "/"); print p[3] }'
  grep -ls "$mapped" /proc/[0-9]*/maps | cut -d / -f 3
} | sort -un | while read -r pid; do
  echo "process $pid ($(cat /proc/$pid/comm 2>/dev/null)) has it open"
done
for loop in $loops; do echo "behind $loop"; done
cat /proc/swaps 2>/dev/null | while read -r swap rest; do
  if test "$swap" -ef ${path}; then echo swap; fi
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("cannot find out who uses the file");
    const lines = stdout.split("\n").filter((line) => line !== "");
    const strange = lines.find((line) => !/^(process \d+ \(.*\) has it open|behind \S+|swap)$/.test(line));
    if (strange !== undefined) throw new Error(`unexpected line: ${strange}`);
    return lines;
  },
};
