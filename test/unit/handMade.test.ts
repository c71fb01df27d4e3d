/** What guards the one moment at which a device's header is believed, run as the shell text that it is. */
import { rmSync, symlinkSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { remains, tryKey } from "../../provider/facts/handMade";
import { adoptHeader } from "../../provider/resources/luksSteps";
import { articleLuks } from "./articleLuks";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
});

const device = "/dev/netdisk/t1";
const header = "/var/lib/netdisk/headers/t1.luks";
const key = "/etc/netdisk/keys/t1.key";
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";

/** cryptsetup's readings of its input: a file or `-` as a whole, otherwise the first line. It opens with `secret`, in slot 1. */
const readings = `key=
for word; do case $before in --key-file) key=$word ;; esac; before=$word; done
case $key in
  "") IFS= read -r line; printf %s "$line" ;;
  -) cat ;;
  *) cat "$key" ;;
esac | cmp -s - secret || exit 2
case $* in *--verbose*) echo "Key slot 1 unlocked." ;; esac`;

// Many small programs, each of which a busy machine takes its time to start.
const slow = { timeout: 60_000 };

describe("a key is tried", slow, () => {
  const opened = () => {
    const { status, stdout } = shell.run(tryKey(header, key, false).text);
    return status === 0 ? stdout : status;
  };

  beforeEach(() => {
    shell.write(key, "first line\nand the rest\n");
    shell.stub("cryptsetup", readings);
  });

  it.each([
    ["as a whole", "first line\nand the rest\n", "whole 1\n"],
    ["up to its first line break, and the length is said", "first line", "line 1 10\n"],
    ["in no third way", "and the rest", "none\n"],
  ])("%s", (_, secret, expected) => {
    shell.write("secret", secret);
    expect(opened()).toBe(expected);
  });

  it("not before a header that any key opens is found out", () => {
    shell.stub("cryptsetup", "cat >/dev/null");
    expect(opened()).toBe("any\n");
  });

  it("and a failure of cryptsetup is no answer", () => {
    shell.stub("cryptsetup", "exit 4");
    expect(opened()).toBe(1);
  });
});

describe("the header of a disk to adopt", slow, () => {
  const dump = (mode: string) => `Version:       	1
Cipher name:   	twofish
Cipher mode:   	${mode}
Payload offset:	4096
MK bits:       	256
Key Slot 0: ENABLED
	Key material offset:	8
	AF stripes:            	4000`;
  const tool = (luksUuid = uuid, mode = "cbc-essiv:sha256") =>
    shell.stub(
      "cryptsetup",
      `case $1 in luksUUID) echo ${luksUuid}; exit ;; luksDump) cat <<'TEXT'\n${dump(mode)}\nTEXT\nexit ;; esac\n${readings}`,
    );
  const bytes = Buffer.alloc(4 * 2 ** 20, 7);
  const wish = articleLuks(uuid);
  const take = () => shell.run(commandOf(adoptHeader(wish, uuid, 2 * 2 ** 20)));

  beforeEach(() => {
    shell.write(device, bytes);
    shell.write(key, "first line\nand the rest\n");
    shell.write("secret", "first line");
    tool();
  });

  it("is copied byte for byte as far as it is used, and the device stays as it is", () => {
    expect(take()).toMatchObject({ status: 0, stderr: "" });
    const used = Math.ceil((4096 + 32 * 4000) / 4096) * 4096;
    const kept = Buffer.from(shell.read(header) ?? "", "latin1");
    expect(kept.length).toBe(2 * 2 ** 20);
    expect(kept.subarray(0, used).equals(Buffer.alloc(used, 7))).toBe(true);
    expect(kept.subarray(used).every((byte) => byte === 0)).toBe(true);
    expect(shell.read(device) === bytes.toString("utf8")).toBe(true);
  });

  it.each<[string, () => void]>([
    ["another UUID", () => tool("00000000-6149-42b5-ab40-e765711a3551")],
    ["a cipher that encrypts nothing", () => tool(uuid, "null-ecb")],
    ["a key that is another disk's", () => shell.write("secret", "another")],
  ])("is not taken with %s", (_, change) => {
    change();
    const { status, stderr } = take();
    expect(status).toBe(1);
    expect(stderr).toContain("the header was not taken");
    expect(shell.read(header)).toBeUndefined();
  });

  it("does not replace a copy that is there", () => {
    shell.write(header, "mine");
    expect(take().status).toBe(1);
    expect(shell.read(header)).toBe("mine");
  });
});

it("what is still open of it is named, whatever it is called", slow, () => {
  shell.write("/sys/class/block/dm-3/dm/uuid", `CRYPT-LUKS1-${uuid.replaceAll("-", "")}-mine\n`);
  shell.write("/sys/class/block/dm-3/dm/name", "mine\n");
  shell.write("/sys/class/block/dm-4/dm/uuid", "CRYPT-LUKS2-00000000614942b5ab40e765711a3551-other\n");
  shell.write("/sys/class/block/dm-4/dm/name", "other\n");
  shell.stub("udevadm", "echo ID_FS_UUID=1-2; echo ID_FS_LABEL_ENC=photos");
  const { status, stdout } = shell.run(remains.command("t1", uuid).text);
  expect(status).toBe(0);
  expect(stdout).toBe("mapping mine 1-2 photos\n");
});

// Whose a connected device is, and that it is asked at all: no nbd-client runs any more.
it.each<[string, string, () => void]>([
  ["is the disk's by what lies on it", "attached nbd0\n", () => above(uuid)],
  ["is another's by what lies on it", "", () => above("00000000-6149-42b5-ab40-e765711a3551")],
  ["is the disk's by its first bytes", "attached nbd0\n", () => begins(uuid)],
  ["is another's by its first bytes", "", () => begins("00000000-6149-42b5-ab40-e765711a3551")],
  ["cannot be read to its 32nd KiB", "mute nbd0\n", () => shell.write("/dev/nbd0", "short")],
  ["does not answer", "mute nbd0\n", () => shell.stub("dd", "exec sleep 20")],
  ["is netdisk's", "", () => symlinkSync(shell.path("dev/nbd0"), shell.path("dev/netdisk/photos"))],
  ["is not connected", "", () => rmSync(shell.path("sys/block/nbd0/pid"))],
])("an nbd device that %s", slow, (_, expected, change) => {
  shell.write("/sys/block/nbd0/pid", "4711\n");
  shell.write("/dev/netdisk/none", "");
  shell.write("/run/netdisk/none", "");
  begins(uuid);
  change();
  const text = remains.command("t1", uuid).text.replaceAll("/dev/$node", `${shell.path("dev")}/$node`);
  const { status, stdout } = shell.run(text.replace("-ge 50", "-ge 2"));
  expect([status, stdout]).toEqual([0, expected]);
});

const above = (luksUuid: string): void =>
  shell.write("/sys/block/nbd0/holders/dm-3/dm/uuid", `CRYPT-LUKS1-${luksUuid.replaceAll("-", "")}-mine\n`);

function begins(luksUuid: string): void {
  const bytes = Buffer.alloc(65536);
  bytes.write(luksUuid, 168);
  shell.write("/dev/nbd0", bytes);
}
