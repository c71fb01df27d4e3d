/** What keeps netdisk from formatting data and from believing a dead disk, run as the shell text that it is. */
import { beforeEach, describe, expect, it } from "vitest";
import { blankProof } from "../../provider/facts/blank";
import { blkidProbe } from "../../provider/facts/blkid";
import { pin } from "../../provider/resources/backingFile";
import { filesystem } from "../../provider/resources/filesystem";
import { mount } from "../../provider/resources/mount";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

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
  const prove = (from = 0) => shell.run(blankProof.command(device, from).text);

  it("never shows zeros to blkid", () => {
    shell.write(device, Buffer.alloc(2 * 2 ** 20));
    shell.stub("blkid", "echo TYPE=swap");
    expect(prove()).toMatchObject({ status: 0, stdout: "blank\n" });
    expect(shell.calls()).toEqual([]);
  });

  it("gives what it found a name", () => {
    const bytes = Buffer.alloc(2 * 2 ** 20);
    bytes[4096] = 1;
    shell.write(device, bytes);
    shell.stub("blkid", "echo DEVNAME=x; echo UUID=1-2; echo TYPE=swap");
    expect(prove().stdout).toBe("data in the 2097152 bytes from byte 0 on (blkid: UUID=1-2 TYPE=swap)\n");
    shell.stub("blkid", "exit 2");
    expect(prove().stdout).toBe("data in the 2097152 bytes from byte 0 on\n");
    expect(prove(8192).stdout).toBe("blank\n");
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
    device: mapped,
    path: "/mnt/t1",
    type: "xfs" as const,
    options: [],
    unlock: true,
    filesystemUuid: uuid,
  };
  const unmount = () => shell.run(commandOf(mount.planRemoval(observed, wish, { name: "t1" })[1]));
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
