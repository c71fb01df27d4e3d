/** What keeps netdisk from formatting data and from believing a dead disk, run as the shell text that it is. */
import { randomFillSync } from "node:crypto";
import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { blankProof, type Where } from "../../provider/facts/blank";
import { blkidProbe } from "../../provider/facts/blkid";
import { pin } from "../../provider/resources/backingFile";
import { filesystem } from "../../provider/resources/filesystem";
import { mount } from "../../provider/resources/mount";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

// Some of these texts start a hundred programs.
vi.setConfig({ testTimeout: 120_000 });

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
});

const device = "/dev/netdisk/t1";
const mapped = "/dev/mapper/t1";
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const used = 65536;

it.each([
  ["is what was found at first", undefined, 4, 8, 4],
  ["grows when a wish has come true", "4 B", 8, 8, 8],
  ["waits while a wish has not", "4 B", 6, 8, 4],
  ["stays when the file was cut, also when a refresh has taken that for the wish", "8 B", 4, 4, 8],
])("the pinned size of a backing file %s", (_, last, found, wish, pinned) => {
  expect(pin(last, found, wish)).toBe(pinned);
});

describe("blkid.probe", () => {
  const probe = () => shell.run(blkidProbe.command(mapped).text);
  beforeEach(() => {
    shell.write(mapped, Buffer.alloc(used));
    shell.stub("blkid", "exit 2");
  });

  it("believes that there is no signature when the device can be read", () => {
    expect(probe().status).toBe(2);
  });

  it("tells a dead device", () => {
    shell.stub("dd", "echo Input/output error >&2; exit 1");
    const result = probe();
    expect(result.status).toBe(45);
    expect(() => blkidProbe.parse({ exitCode: 45, stdout: "", stderr: "" }, mapped)).toThrow(
      "cannot be read",
    );
  });
});

describe("blank.proof", () => {
  const prove = (from = 0, where?: Where) => shell.run(blankProof.command(device, from, where).text);

  const mib = 2 ** 20;
  const size = 128 * mib;
  /** A device of zeros but for one byte each at these places. */
  const holds = (...places: number[]) => holdsIn(size, ...places);
  const holdsIn = (bytes: number, ...places: number[]) => {
    shell.write(device, "");
    truncateSync(shell.path(device), bytes);
    const file = openSync(shell.path(device), "r+");
    for (const place of places) writeSync(file, "x", place);
    closeSync(file);
  };
  const found = (byte: number) => ({ status: 0, stdout: `data ${byte}\n` });
  beforeEach(() => shell.stub("blkid", "exit 2"));

  it("is blank when all that is read is zero, and neither blkid nor wipefs knows anything", () => {
    holds();
    expect(prove()).toMatchObject({ status: 0, stdout: "blank\n" });
    expect(prove(16 * mib)).toMatchObject({ status: 0, stdout: "blank\n" });
  });

  it.each([
    ["the first", 0],
    ["the last of the beginning", 16 * mib - 1],
    ["the first of the end", size - 16 * mib],
    ["the last", size - 1],
    ["one of the first sample", 16 * mib + 7],
    ["one of the last sample", 16 * mib + 31 * 3 * mib + 65535],
    ["one of a copy of ext4's superblock", 3 * 8 * mib + 1024],
    ["one of such a copy in a first partition", mib + 3 * 8 * mib + 1024],
    ["one of a copy of btrfs' superblock", 64 * mib],
    ["one of XFS's third allocation group", size / 2],
  ])("finds %s byte", (_, byte) => {
    holds(byte);
    expect(prove()).toMatchObject(found(byte));
  });

  const tib = 2 ** 40;
  const partition = 2 * tib - mib - 33 * 512;
  it.each([
    ["ext4's superblock in a first partition, whose beginning was wiped", mib + 128 * mib + 1024],
    ["XFS's second allocation group in such a one", mib + Math.ceil(partition / 4 / 4096) * 4096],
    ["a sample that there is only there", 16 * mib + Math.floor((2 * tib - 32 * mib) / 512 / 4096) * 4096],
  ])("finds on a real disk of 2 TiB, beside it, %s", (_, byte) => {
    holdsIn(2 * tib, byte);
    expect(prove(0, "beside the disk")).toMatchObject(found(byte));
  });

  it("overlooks what lies only between the samples, as docs/security.md says", () => {
    holds(16 * mib + 65536);
    expect(prove().stdout).toBe("blank\n");
  });

  it("gives what it found a name, each once", () => {
    holds(4096);
    shell.stub("blkid", "echo swap");
    shell.stub("wipefs", "echo 'swap 1-2'; echo; echo 'gpt'");
    expect(prove().stdout).toBe("data 4096\nsignature swap 1-2\nsignature gpt \n");
    expect(prove(8192).stdout).toBe("blank\n");
  });

  it("tells what looks random", () => {
    const bytes = Buffer.alloc(2 * mib);
    randomFillSync(bytes);
    bytes[0] = 1;
    shell.write(device, bytes);
    expect(prove().stdout).toBe("data 0\nrandom\n");
  });

  it.each([
    ["blkid", "echo swap"],
    ["wipefs", "echo swap"],
  ])("is not blank when %s says so among zeros", (tool, says) => {
    holds();
    shell.stub(tool, says);
    expect(prove()).toMatchObject({ status: 0, stdout: "signature swap \n" });
  });

  it.each([
    ["blkid", "exit 4"],
    ["wipefs", "exit 1"],
    ["dd", "echo Input/output error >&2; exit 1"],
    ["dd", 'case $* in *skip=16777216*) exit 1 ;; esac; exec /bin/dd "$(echo "$@")"'],
    ["cmp", "exit 2"],
  ])("says nothing when %s fails: %s", (tool, body) => {
    holds();
    shell.stub(tool, body);
    const { status, stdout } = prove();
    expect([status, stdout]).toEqual([1, ""]);
  });
});

describe("mkfs.xfs", () => {
  const offset = 4096;
  const note = "/var/lib/netdisk/intent/mkfs-t1";
  const identity = `CRYPT-LUKS2-${uuid.replaceAll("-", "")}`;
  const wish = { name: "t1", device: mapped, rawDevice: device, rawOffset: offset, crc: true, finobt: true };
  const format = () => {
    const result = shell.run(commandOf(filesystem.plan({ is: "absent" }, wish as never, { name: "t1" })[0]));
    return { ...result, formatted: shell.calls().some((call) => call.startsWith("mkfs.xfs ")) };
  };
  const xfs = Buffer.alloc(8192);
  xfs.write("XFSB");

  beforeEach(() => {
    shell.stub("dmsetup", `echo ${identity}-t1`);
    shell.stub("mkfs.xfs", "");
    shell.stub("blkid", "exit 2");
    shell.write(device, Buffer.alloc(used, 5));
    shell.write(mapped, Buffer.alloc(8192, 9));
    shell.write("/sys/class/block/t1/dev", "253:7\n");
  });

  it("refuses a mapping that somebody has open", () => {
    shell.write(device, Buffer.alloc(used));
    shell.write("/sys/class/block/t1/holders/dm-1", "");
    const { status, stderr, formatted } = format();
    expect({ status, formatted }).toEqual({ status: 75, formatted: false });
    expect(stderr).toContain("the block device dm-1 lies on it");
  });

  it("formats what is blank below, whatever it decrypts to", () => {
    shell.write(device, Buffer.alloc(used));
    shell.stub("blkid", "echo minix");
    expect(format()).toMatchObject({ status: 0, formatted: true });
    expect(shell.read(note)).toBeUndefined();
  });

  it("leaves data alone that it did not begin", () => {
    expect(format()).toMatchObject({ status: 1, formatted: false });
  });

  describe("over the remains of its own attempt", () => {
    beforeEach(() => shell.write(note, `mkfs in ${identity}\n`));

    it("formats where nothing is known yet", () => {
      expect(format()).toMatchObject({ status: 0, formatted: true });
    });

    it.each([
      ["echo inprogress = 1", true],
      ["echo inprogress = 0", false],
      ["exit 1", false],
      ["kill -KILL $$", false],
      ["echo xfs_db: strange", false],
    ])("an XFS of which xfs_db says `%s`: formatted is %s", (says, formatted) => {
      shell.write(mapped, xfs);
      shell.stub("xfs_db", says);
      expect(format().formatted).toBe(formatted);
    });

    it("does not format a mapping that cannot be read", () => {
      shell.stub(
        "dd",
        `case $* in *if=${shell.path(mapped)}*) exit 1 ;; esac; exec /bin/dd "$@" iflag=skip_bytes,count_bytes,fullblock`,
      );
      expect(format()).toMatchObject({ status: 1, formatted: false });
    });

    it("does not format what has become something else", () => {
      shell.stub("blkid", "echo ext4");
      expect(format()).toMatchObject({ status: 1, formatted: false });
    });
  });

  it.each(["", "echo LVM-abc", "exit 1", "echo CRYPT-LUKS2-"])(
    "wants the container's identity, not `%s`",
    (says) => {
      shell.write(device, Buffer.alloc(used));
      shell.stub("dmsetup", says);
      expect(format()).toMatchObject({ status: 1, formatted: false });
    },
  );
});

describe("removal of a mount", () => {
  const observed = { is: "present", state: { path: "/mnt/t1" } } as Parameters<typeof mount.planRemoval>[0];
  const wish = {
    name: "t1",
    transport: "forward" as const,
    device: mapped,
    path: "/mnt/t1",
    type: "xfs" as const,
    options: [],
    unlock: true,
    filesystemUuid: uuid,
  };
  const unmount = () => shell.run(commandOf(mount.planRemoval(observed, wish, { name: "t1" })[2]));
  beforeEach(() => shell.stub("umount", ""));

  it.each([
    ["echo /mnt/t1", 0, true],
    ["exit 1", 0, false],
    ["echo findmnt: cannot read >&2; exit 1", 1, false],
  ])("findmnt: `%s`", (findmnt, status, unmounted) => {
    shell.stub("findmnt", findmnt);
    expect(unmount().status).toBe(status);
    expect(shell.calls().some((call) => call.startsWith("umount"))).toBe(unmounted);
  });
});
