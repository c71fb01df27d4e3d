/** The reader of dm-log-writes' log: a test of power cuts is worth what it says of the disk afterwards. */
import { describe, expect, it } from "vitest";
import { durable, entriesOf, type Entry, type Read } from "../e2e/harness/diskLog";

const sector = 512;
const [flush, fua, discard, mark] = [1, 2, 4, 8];

interface Logged {
  at?: number;
  sectors?: number;
  flags?: number;
  said?: string;
}

/** A log as the kernel writes it: a superblock, then a header for each entry and its bytes. */
function logOf(entries: Logged[], count = entries.length): Read {
  const header = (numbers: number[], said = "") => {
    const bytes = Buffer.alloc(sector);
    numbers.forEach((number, i) => bytes.writeBigUInt64LE(BigInt(number), i * 8));
    bytes.write(said, 32);
    return bytes;
  };
  const superblock = header([0, 1, count]);
  // More than a number can hold.
  superblock.writeBigUInt64LE(0x6a736677736872n);
  superblock.writeUInt32LE(sector, 24);
  const log = Buffer.concat([
    superblock,
    ...entries.flatMap(({ at = 0, sectors = 0, flags = 0, said = "" }, i) => [
      header([at, sectors, flags, said.length], said),
      Buffer.alloc(flags & discard ? 0 : sectors * sector, i + 1),
    ]),
  ]);
  return (offset, length) => log.subarray(offset, offset + length);
}

const write = (at: number, sectors: number, flags = 0): Logged => ({ at, sectors, flags });
const flushed: Logged = { flags: flush };
const cut: Logged = { flags: mark, said: "cut" };
const places = (entries: Entry[]) => entries.map(({ at, length }) => [at / sector, length / sector]);

describe("entries of a log", () => {
  it("say where they go and where their bytes are", () => {
    const read = logOf([write(8, 2), write(100, 1, fua), flushed, cut]);
    const entries = entriesOf(read);
    expect(places(entries)).toEqual([
      [8, 2],
      [100, 1],
      [0, 0],
      [0, 0],
    ]);
    expect(entries.map(({ flush, fua, mark }) => [flush, fua, mark])).toEqual([
      [false, false, undefined],
      [false, true, undefined],
      [true, false, undefined],
      [false, false, "cut"],
    ]);
    expect(read(entries[1]!.data, sector)).toEqual(Buffer.alloc(sector, 2));
  });

  it("follow a discard at once, for it has no bytes in the log", () => {
    const entries = entriesOf(logOf([write(0, 1000, discard), write(7, 1), flushed]));
    expect(entries[0]).toMatchObject({ discard: true, at: 0, length: 1000 * sector });
    expect(places(entries).slice(1)).toEqual([
      [7, 1],
      [0, 0],
    ]);
  });

  it("are those that the superblock counts, and none in a log that has just begun", () => {
    expect(places(entriesOf(logOf([write(1, 1), flushed, write(2, 1)], 2)))).toEqual([
      [1, 1],
      [0, 0],
    ]);
    expect(entriesOf(() => Buffer.alloc(sector))).toEqual([]);
  });

  it("are refused where they are none: other bytes, an entry that was not written, a log that ends early", () => {
    expect(() => entriesOf(() => Buffer.alloc(sector, 1))).toThrow("no log of dm-log-writes");
    expect(() => entriesOf(logOf([write(1, 1), {}], 2))).toThrow("entry 2 of 2");
    expect(() => entriesOf(logOf([write(1, 1)], 2))).toThrow("ends before entry 2");
  });
});

describe("what the medium has got at a mark", () => {
  const at = (logged: Logged[]) => places(durable(entriesOf(logOf(logged)), "cut"));

  it("ends with the last flush", () => {
    expect(at([write(1, 1), flushed, write(2, 1), cut])).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });

  it("ends with a write with FUA", () => {
    expect(at([write(1, 1), flushed, write(2, 1, fua), write(3, 1), cut])).toEqual([
      [1, 1],
      [0, 0],
      [2, 1],
    ]);
  });

  it("does not hold what came after the mark", () => {
    expect(at([write(1, 1), flushed, cut, write(2, 1), flushed])).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });

  it("is nothing where nothing was flushed, and not known without the mark", () => {
    expect(at([write(1, 1), cut])).toEqual([]);
    expect(() => durable(entriesOf(logOf([write(1, 1), flushed])), "cut")).toThrow('no mark "cut"');
  });
});
