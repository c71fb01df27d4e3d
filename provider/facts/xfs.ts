/** What an XFS superblock says; works on a mounted file system too. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface XfsSuperblock {
  uuid: string;
  /** True from the first write of mkfs.xfs until its last: such a file system was never mounted. */
  inProgress: boolean;
  crc: boolean;
  finobt: boolean;
}

export const xfsSuperblock: Fact<[device: string], XfsSuperblock> = {
  name: "xfs.superblock",
  command: (device) => sh`xfs_db -r -c 'sb 0' -c 'print uuid inprogress' -c version ${device}`,
  parse: ({ exitCode, stdout }) => {
    const uuid = /^uuid = ([0-9a-f-]{36})$/m.exec(stdout)?.[1];
    const inProgress = /^inprogress = ([01])$/m.exec(stdout)?.[1];
    const features = /^versionnum \[\S+\] = (\S+)$/m.exec(stdout)?.[1]?.split(",");
    if (exitCode !== 0 || uuid === undefined || inProgress === undefined || !features) {
      throw new Error("no readable XFS superblock");
    }
    return {
      uuid,
      inProgress: inProgress === "1",
      crc: features.includes("CRC"),
      finobt: features.includes("FINOBT"),
    };
  },
};

/** Bytes of the data section. The kernel's word where it is mounted: the superblock on the device may lag behind. */
export const xfsSize: Fact<[device: string], number> = {
  name: "xfs.size",
  command: (device) => sh`xfs_info ${device}`,
  parse: ({ exitCode, stdout }) => {
    const match = /^data +=.* bsize=([0-9]+) +blocks=([0-9]+),/m.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("the size of the XFS could not be read");
    return Number(match[1]) * Number(match[2]);
  },
};

export interface XfsSectors {
  /** `mkfs.xfs -s size`, bytes. */
  made: number;
  /** Logical block size of the device, bytes: Linux mounts no XFS with smaller sectors ("Function not implemented"). */
  device: number;
}

/** Not xfs_db's word: over larger blocks it cannot read a thing ("Invalid argument"). `sb_magicnum` and `sb_sectsize`, xfs_format.h. */
export const xfsSectors: Fact<[device: string], XfsSectors> = {
  name: "xfs.sectors",
  command: (device) =>
    sh`dd if=${device} bs=4096 count=1 status=none | od -An -v -t x1 -N 104 | tr -d '[:space:]' && echo && blockdev --getss ${device}`,
  parse: ({ exitCode, stdout }) => {
    const match = /^58465342[0-9a-f]{196}([0-9a-f]{4})\n([0-9]+)\n$/.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("no XFS superblock, or its sector size could not be read");
    return { made: parseInt(match[1] ?? "", 16), device: Number(match[2]) };
  },
};
