/** Which loop devices a file is behind, by its inode. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface Loop {
  /** `/dev/loop0`. Changes from boot to boot. */
  path: string;
  /** Bytes. */
  size: number;
  /** Goes past the page cache of the file. */
  directIo: boolean;
  /** User that owns the device node. */
  owner: string;
}

export interface Behind {
  /** The file's path without symbolic links, as the kernel shows it; undefined where there is no such file. */
  realPath?: string;
  /** The device that our script noted, whatever is behind it by now; undefined where it noted none. */
  noted?: string;
  loops: Loop[];
}

/** `note`: where our script notes the device that it set up. */
export const losetupBehind: Fact<[file: string, note: string], Behind> = {
  name: "losetup.behind",
  // losetup answers "none" for a file that is not there, too.
  command: (file, note) => sh`test -f ${file} || { if test -e ${file}; then exit 45; else exit 44; fi; }
readlink -e -- ${file} && loops=$(losetup --noheadings --output NAME --associated ${file}) || exit 1
test ! -e ${note} || { printf 'noted ' && cat ${note}; } || exit 1
for loop in $loops; do
  cd "/sys/class/block/\${loop##*/}" && echo "$loop $(cat size) $(cat loop/dio) $(stat -c %U "$loop")" || exit 1
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return { loops: [] };
    if (exitCode === 45) throw new Error("something else than a regular file is there");
    const [realPath = "", ...lines] = stdout.trimEnd().split("\n");
    if (exitCode !== 0 || !realPath.startsWith("/")) throw new Error("losetup failed");
    const behind: Behind = { realPath, loops: [] };
    for (const line of lines) {
      const noted = /^noted (\/dev\/loop[0-9]+)$/.exec(line)?.[1];
      const loop = /^(\/dev\/loop[0-9]+) ([0-9]+) ([01]) ([a-zA-Z0-9_-]+)$/.exec(line);
      const [, path, sectors, directIo, owner] = loop ?? [];
      if (noted !== undefined) behind.noted = noted;
      else if (path !== undefined && owner !== undefined)
        behind.loops.push({ path, size: Number(sectors) * 512, directIo: directIo === "1", owner });
      else throw new Error(`unexpected line: ${line}`);
    }
    return behind;
  },
};
