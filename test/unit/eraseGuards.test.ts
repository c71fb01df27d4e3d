/** What an order to erase destroys, and what it never does, run as the shell text that it is. */
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { erase } from "../../provider/resources/erase";
import { eraseFile } from "../../provider/resources/eraseFile";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

// A device in use is looked at for some seconds.
vi.setConfig({ testTimeout: 120_000 });

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
});

const mib = 2 ** 20;
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const another = "00000000-6149-42b5-ab40-e765711a3551";
const device = "/dev/netdisk/t1";
const [key, header, sealed] = [
  "/etc/netdisk/keys/t1.key",
  "/var/lib/netdisk/headers/t1.luks",
  "/var/lib/netdisk/recovery/t1.gpg",
];
const order = "/var/lib/netdisk/erase/t1";
const begun = "/var/lib/netdisk/intent/erase-t1";
const ordered = { is: "present", state: { recorded: true, inStack: false, begun: false } } as never;

/** A disk whose header has this UUID in one of its places, with data behind it. */
function disk(ofUuid = uuid, place = 168): Buffer {
  const bytes = Buffer.alloc(17 * mib, 7);
  bytes.fill(0, 0, 32768).write(ofUuid, place);
  return bytes;
}

describe("the client's part", () => {
  const wish = { name: "t1", luksUuid: uuid, device, keyFile: key };
  const run = () => shell.run(commandOf(erase.planRemoval(ordered, wish, { name: "t1" })[0]));
  const left = () =>
    [device, key, header, sealed, order, begun].filter((path) => shell.read(path) !== undefined);
  const bytes = () => readFileSync(shell.path(device));

  beforeEach(() => {
    shell.stub("systemctl", "");
    shell.stub("cryptsetup", "");
    // Whoever has it open: asking for that takes its time on a machine with many processes.
    shell.stub("xargs", "");
    shell.write("/sys/class/block/t1/dev", "43:0\n");
    shell.write(device, disk());
    shell.write(header, disk().subarray(0, 2 * mib));
    shell.write(key, "k");
    shell.write(sealed, "s");
    shell.write(order, `${uuid}\n`);
  });

  const intact = () => {
    expect(left()).toEqual([device, key, header, sealed, order]);
    expect(bytes().equals(disk()) || bytes().equals(disk(another))).toBe(true);
  };

  it("destroys header, key and sealed copy, says what, and leaves no note", () => {
    const { status, stdout, stderr } = run();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /^ERASED the disk t1, LUKS UUID 5796[-0-9a-f]+: the header on .*t1 \(17825792 bytes\)/,
    );
    expect(left()).toEqual([device]);
    expect(
      bytes()
        .subarray(0, 16 * mib)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(
      bytes()
        .subarray(16 * mib)
        .every((byte) => byte === 7),
    ).toBe(true);
    expect(shell.calls()).toContain(`cryptsetup luksErase -q ${shell.path(header)}`);
  });

  it("leaves a key that another disk in a stack opens by, and says whose", () => {
    const claims = "/var/lib/netdisk/claims/luks";
    const inputs = (keyFile: string) => `{"project":"p","inputs":{"name":"x","keyFile":"${keyFile}"}}\n`;
    shell.write(`${claims}/t1/p.s.json`, inputs(shell.path(key)));
    shell.write(`${claims}/t2/p.s.json`, inputs(shell.path(`${key}.other`)));
    shell.write(`${claims}/t3/p.s.json`, inputs(shell.path(key)));
    const { status, stdout } = run();
    expect(status).toBe(0);
    expect(stdout).toMatch(/, but not \S+\/t1\.key, which is the key of t3, too\n$/);
    expect(left()).toEqual([device, key]);
  });

  it("knows the disk by its second header", () => {
    shell.write(device, disk(uuid, 16552));
    expect(run().status).toBe(0);
  });

  it("refuses another disk", () => {
    shell.write(device, disk(another));
    const { status, stderr } = run();
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /is not the disk with LUKS UUID .*, it holds LUKS UUID 00000000-.*This run destroyed nothing\. Put that right/,
    );
    intact();
  });

  it("refuses one that another disk's header lies over", () => {
    const over = disk(another);
    over.write(uuid, 16552);
    shell.write(device, over);
    expect(run()).toMatchObject({ status: 1 });
    expect(left()).toEqual([device, key, header, sealed, order]);
    expect(bytes().equals(over)).toBe(true);
  });

  it("refuses a blank disk that it did not begin on", () => {
    shell.write(device, Buffer.alloc(17 * mib));
    expect(run().status).toBe(1);
    expect(left()).toContain(key);
  });

  it("refuses when the client's header is another disk's", () => {
    shell.write(header, disk(another).subarray(0, 2 * mib));
    expect(run()).toMatchObject({ status: 1 });
    intact();
  });

  it("destroys nothing while the server cannot be reached", () => {
    shell.stub("systemctl", "exit 1");
    const { status, stderr } = run();
    expect(status).toBe(1);
    expect(stderr).toContain("This run destroyed nothing");
    intact();
  });

  it("destroys nothing while somebody uses the device", () => {
    shell.write("/sys/class/block/t1/holders/dm-0", "");
    const { status, stderr } = run();
    expect(status).toBe(75);
    expect(stderr).toContain("dm-0 lies on it");
    intact();
  });

  it.each(["cryptsetup", "shred", "rm"])("finishes when it was killed at its first %s", (tool) => {
    // What was begun ends with the program that stands for the kill.
    shell.stub(tool, `kill -KILL $PPID`);
    expect(run).toThrow("ended by SIGKILL");
    expect(left()).toContain(begun);
    shell.stub(tool, `exec /bin/${tool} "$@"`);
    shell.stub("cryptsetup", "");
    const { status, stderr } = run();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(left()).toEqual([device]);
  });

  describe.each([
    ["LUKS1, data up to the end of what is zeroed", () => Buffer.alloc(17 * mib, 7), [168], [2, 3]],
    [
      "LUKS2, key slots of 290 KiB",
      () => Buffer.alloc(17 * mib).fill(7, 512, 290 * 1024),
      [168, 16552],
      [2, 3],
    ],
    [
      "LUKS2 of which the first header is lost",
      () => Buffer.alloc(17 * mib).fill(7, 512, 290 * 1024),
      [16552],
      [1, 2, 3],
    ],
  ])("%s", (_, bytesOf, places, writes) => {
    /** Only that half of its write reaches the device. */
    const dies = (nth: number, half: string) => `case $* in *if=/dev/zero*)
  echo >>writes
  if [ "$(wc -l <writes)" = ${nth} ]; then
    for word; do case $word in of=*) of=\${word#*=} ;; seek=*) seek=\${word#*=} ;; count=*) count=\${word#*=} ;; esac; done
    count=$((count / 1024 * 512))
    /bin/dd if=/dev/zero of="$of" bs=1M seek=$((seek + ${half === "second" ? 1 : 0} * count)) count=$count oflag=seek_bytes iflag=count_bytes conv=notrunc status=none
    kill -KILL $PPID
    exit
  fi
esac`;
    const content = () => places.reduce((made, at) => (made.write(uuid, at), made), bytesOf());

    it.each(writes.flatMap((nth) => ["first", "second"].map((half) => ({ nth, half }))))(
      "is finished when it was killed in write $nth with only a half of it on the device: the $half",
      ({ nth, half }) => {
        const whole = shell.read("bin/dd") ?? "";
        shell.write(device, content());
        shell.stub("dd", `${dies(nth, half)}\n${whole}`);
        expect(run).toThrow("ended by SIGKILL");
        expect(left()).toEqual([device, key, header, sealed, order, begun]);
        shell.write("bin/dd", whole);
        const { status, stderr } = run();
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        expect(left()).toEqual([device]);
        expect(bytes().equals(content().fill(0, 0, 16 * mib))).toBe(true);
      },
    );
  });

  it.each([
    [
      "a file system that begins behind 32 KiB of zeros",
      disk("", 0),
      /it holds no LUKS UUID, and not only zeros/,
    ],
    ["another disk", disk(another), /it holds LUKS UUID 00000000-/],
  ])("that was begun refuses %s, and says what it found", (_, bytesOfIt, found) => {
    shell.write(begun, `${uuid}\n`);
    shell.write(device, bytesOfIt);
    const { status, stderr } = run();
    expect(status).toBe(1);
    expect(stderr).toMatch(found);
    expect(stderr).toContain("This run destroyed nothing. Bring that disk back behind it");
    expect(stderr.includes("write zeros")).toBe(!stderr.includes(another));
    expect(bytes().equals(bytesOfIt)).toBe(true);
    expect(left()).toContain(key);
  });
});

describe("the server's part", () => {
  const file = "/var/lib/netdisk/t1.img";
  const made = "/etc/netdisk/made/t1";
  const wish = { name: "t1", luksUuid: uuid, path: file };
  const run = () => shell.run(commandOf(eraseFile.planRemoval(ordered, wish, { name: "t1" })[0]));
  const record = () => shell.run(commandOf(eraseFile.plan({ is: "absent" }, wish, { name: "t1" })[0]));
  const left = () => [file, made, order, begun].filter((path) => shell.read(path) !== undefined);

  beforeEach(() => {
    shell.write(file, disk());
    shell.write(made, "1 2");
    expect(record().status).toBe(0);
  });

  it("records the very file", () => {
    expect(shell.read(order)).toMatch(new RegExp(`^${uuid} [0-9]+ [0-9]+\n$`));
  });

  it.each([
    ["as it was", disk()],
    ["with the header that the client has wiped", Buffer.alloc(17 * mib)],
  ])("removes the file %s, and says what it was", (_, bytes) => {
    shell.write(file, bytes);
    const { status, stdout } = run();
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ERASED the file of the disk t1, LUKS UUID .*t1\.img \(17825792 bytes\)\n$/);
    expect(left()).toEqual([]);
  });

  it("leaves another file under its path", () => {
    shell.run(`mv ${file} ${file}.away`);
    shell.write(file, disk());
    expect(run()).toMatchObject({ status: 1 });
    expect(left()).toEqual([file, made, order]);
  });

  it("leaves another disk in its file", () => {
    shell.write(file, disk(another));
    const { status, stderr } = run();
    expect(status).toBe(1);
    expect(stderr).toContain(`it holds LUKS UUID ${another}. This run destroyed nothing`);
    expect(left()).toEqual([file, made, order]);
  });

  it("leaves a file that holds neither this disk nor zeros", () => {
    shell.write(file, Buffer.alloc(17 * mib, 1));
    expect(run()).toMatchObject({ status: 1 });
    expect(left()).toEqual([file, made, order]);
  });

  it("is done when the file is gone that a run before has removed", () => {
    shell.run(`rm ${file}`);
    shell.write(begun, `${uuid}\n`);
    expect(run()).toMatchObject({ status: 0, stdout: expect.stringContaining("(gone bytes)") as string });
    expect(left()).toEqual([]);
  });

  it("is refused where the file is not seen, unless its notes are removed", () => {
    shell.run(`rm ${file}`);
    const { status, stdout, stderr } = run();
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(
      /^there is no \S+\/t1\.img\. This run destroyed nothing\. Mount its file system; if you removed the file yourself, remove its notes/,
    );
    expect(left()).toEqual([made, order]);
    shell.run(/`(rm .*)`/.exec(stderr)?.[1] ?? "");
    expect(left()).toEqual([]);
  });
});
