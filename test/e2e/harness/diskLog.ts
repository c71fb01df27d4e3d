/**
 * The log of dm-log-writes, as drivers/md/dm-log-writes.c lays it out: what a disk with a volatile cache still has after
 * its power was cut. The kernel logs a write once a flush that was sent after it had completed has completed itself, and
 * a write with FUA when it has: what is in the log is on the medium, and all else was in the cache.
 */

/** Reads at an offset of the log; shorter than asked for only at its end. */
export type Read = (offset: number, length: number) => Buffer;

/** All in bytes. */
export interface Entry {
  flush: boolean;
  fua: boolean;
  /** Bytes that are zeros from now on; nothing of them is in the log. */
  discard: boolean;
  /** What `dmsetup message … mark` said. */
  mark?: string;
  /** Where on the disk, and how much. */
  at: number;
  length: number;
  /** Where its bytes are in the log. */
  data: number;
}

const magic = 0x6a736677736872n;
const flags = { flush: 1, fua: 2, discard: 4, mark: 8 };
const headerBytes = 32;

/**
 * The entries that the superblock counts, in order. The kernel writes it with each mark and each write with FUA, so what
 * came after the last of these is not seen: whoever wants to know of all sets a mark. None where nothing was logged yet.
 */
export function entriesOf(read: Read): Entry[] {
  const entries: Entry[] = [];
  const superblock = read(0, headerBytes);
  if (superblock.every((byte) => byte === 0)) return entries;
  if (superblock.readBigUInt64LE(0) !== magic || superblock.readBigUInt64LE(8) !== 1n) {
    throw new Error("this is no log of dm-log-writes, version 1");
  }
  const count = Number(superblock.readBigUInt64LE(16));
  const sector = superblock.readUInt32LE(24);
  let offset = sector;
  for (let number = 1; number <= count; number++) {
    const header = read(offset, sector);
    if (header.length < sector) throw new Error(`the log ends before entry ${number} of ${count}`);
    const [at = 0, sectors = 0, bits = 0, said = 0] = [0, 8, 16, 24].map((from) =>
      Number(header.readBigUInt64LE(from)),
    );
    const has = (flag: number): boolean => (bits & flag) !== 0;
    // Only DAX logs data beside the header, and no disk of ours has it. All zeros: not written when the power went.
    if ((said > 0 && !has(flags.mark)) || (bits === 0 && sectors === 0)) {
      throw new Error(`entry ${number} of ${count} is none that this reads: flags ${bits}, data ${said}`);
    }
    const entry: Entry = {
      flush: has(flags.flush),
      fua: has(flags.fua),
      discard: has(flags.discard),
      ...(has(flags.mark) && { mark: header.toString("utf8", headerBytes, headerBytes + said) }),
      at: at * sector,
      length: sectors * sector,
      data: offset + sector,
    };
    entries.push(entry);
    offset = entry.data + (entry.discard ? 0 : entry.length);
  }
  return entries;
}

/** What the medium has got when a mark was set: all up to the last flush or write with FUA before it. */
export function durable(entries: Entry[], mark: string): Entry[] {
  const end = entries.findIndex((entry) => entry.mark === mark);
  if (end < 0) throw new Error(`the log has no mark "${mark}"`);
  const before = entries.slice(0, end);
  return before.slice(0, before.findLastIndex(({ flush, fua }) => flush || fua) + 1);
}
