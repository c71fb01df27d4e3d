/** What guards key, header and sealed copy, run as the shell text that it is. */
import { statSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { gpgHeader } from "../../provider/facts/gpg";
import { compareHeader } from "../../provider/facts/luksDevice";
import { luks } from "../../provider/resources/luks";
import { luksKey } from "../../provider/resources/luksKey";
import { makeHeader, writeHeader } from "../../provider/resources/luksSteps";
import { recovery } from "../../provider/resources/recovery";
import { type KeyReading, keyReadings } from "../../schema/fields";
import { Secret } from "../../schema/secret";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
});

const device = "/dev/netdisk/t1";
const header = "/var/lib/netdisk/headers/t1.luks";
const key = "/etc/netdisk/keys/t1.key";
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const used = 65536;

const readings = keyReadings.flatMap((last) => keyReadings.map((reading) => [last, reading] as const));

/** The header of this disk, which its key opens if it is read so. */
const opensBy = (reading: KeyReading): string => {
  const [whole, line] = reading === "whole" ? [0, 2] : [2, 0];
  return `case "$1 $*" in luksUUID*) echo ${uuid} ;; *--key-file*) exit ${whole} ;; *) exit ${line} ;; esac`;
};

/** Magic, UUID, and key slots that are never all zero. */
function luksHeader(ofUuid = uuid, fill = 7): Buffer {
  const bytes = Buffer.alloc(used, fill);
  for (const at of [0, 16384]) {
    bytes.write("LUKS\xba\xbe", at, "latin1");
    bytes.fill(0, at + 168, at + 208).write(ofUuid, at + 168);
  }
  return bytes;
}

describe("compareHeader", () => {
  const compare = () => shell.run(compareHeader(device, header, used).text);
  const holds = (bytes: Buffer) => {
    shell.write(device, bytes);
    shell.write(header, luksHeader());
  };
  const halfWritten = Buffer.concat([luksHeader().subarray(0, used / 2), Buffer.alloc(used / 2)]);

  it.each([
    ["equal", luksHeader()],
    ["zero", Buffer.alloc(used)],
    ["zero", halfWritten],
    ["ours", luksHeader(uuid, 8)],
    ["other", luksHeader("00000000-6149-42b5-ab40-e765711a3551", 8)],
    ["other", Buffer.alloc(used, 1)],
  ])("says %s", (relation, bytes) => {
    holds(bytes);
    expect(compare()).toMatchObject({ status: 0, stdout: `${relation}\n` });
  });

  it.each(["cmp", "awk"])("says nothing when %s is killed", (tool) => {
    holds(Buffer.alloc(used, 1));
    shell.stub(tool, "kill -KILL $$");
    expect(compare()).toMatchObject({ status: 1, stdout: "" });
  });

  it("says nothing when cmp cannot compare the identities", () => {
    holds(Buffer.alloc(used, 1));
    shell.stub("cmp", 'case $1 in -s) exit 2 ;; esac; exec /usr/bin/cmp "$@"');
    expect(compare()).toMatchObject({ status: 1, stdout: "" });
  });

  it("leaves nothing in memory when it is ended by a signal", () => {
    holds(Buffer.alloc(used, 1));
    shell.stub("cmp", "kill -TERM $PPID");
    expect(compare()).toMatchObject({ status: 143, stdout: "" });
    expect(shell.run("ls /run/netdisk-*").stderr).toContain("No such file");
  });
});

describe("writeHeader", () => {
  const wish = { name: "t1", device } as Parameters<typeof writeHeader>[0];
  const note = "/var/lib/netdisk/intent/luks-t1";
  beforeEach(() => {
    shell.stub("cryptsetup", `echo "Area offset: 32768"; echo "Area length: ${used - 32768}"`);
    shell.write(header, luksHeader());
    shell.write(device, Buffer.alloc(used * 2));
    shell.write(note, "begun");
  });

  it("writes, looks, and only then removes the note", () => {
    expect(shell.run(commandOf(writeHeader(wish)))).toMatchObject({ status: 0 });
    expect(shell.run(compareHeader(device, header, used).text).stdout).toBe("equal\n");
    expect(shell.read(note)).toBeUndefined();
  });

  it("keeps the note when the device does not hold what was written", () => {
    shell.stub("dd", 'case $* in *conv=*) exit 0 ;; esac; exec /bin/dd "$@" iflag=fullblock');
    const { status, stderr } = shell.run(commandOf(writeHeader(wish)));
    expect(status).toBe(1);
    expect(stderr).toContain("does not hold what was written");
    expect(shell.read(note)).toBe("begun");
  });

  it("makes no file where the device has gone", () => {
    shell.stub(
      "dd",
      `case $* in *conv=*) rm -f ${shell.path(device)} ;; esac; exec /bin/dd "$@" iflag=fullblock`,
    );
    expect(shell.run(commandOf(writeHeader(wish))).status).toBe(1);
    expect(shell.read(device)).toBeUndefined();
    expect(shell.read(note)).toBe("begun");
  });
});

it("a device's name is nothing that the shell runs", () => {
  const wish = { name: "t1", device: "/dev/$(touch pwned)", keyFile: key };
  const inputs = Object.entries(luks.definition.inputs).map(([k, { schema }]) => [
    k,
    k in wish ? wish[k as keyof typeof wish] : schema.parse(undefined),
  ]);
  const text = commandOf(makeHeader(Object.fromEntries(inputs) as never));
  const [line] = /^identity=.*?(?= && mkdir)/m.exec(text) ?? [];
  shell.stub("blockdev", "echo 512");
  expect(shell.run(`${line}; echo "$identity"`).stdout).toBe(
    "luksFormat of /dev/$(touch pwned), 512 bytes\n",
  );
  expect(shell.read("pwned")).toBeUndefined();
});

describe("makeKey", () => {
  const plain = { name: "t1", bytes: 64, gpg: undefined, passphrase: undefined, adopt: undefined };
  const make = () => shell.run(commandOf(luksKey.plan({ is: "absent" }, plain, { name: "t1" })[0]));

  it("leaves one link to it, and no other file", () => {
    expect(make().status).toBe(0);
    expect(statSync(shell.path(key))).toMatchObject({ size: 64, nlink: 1 });
    expect(shell.run("ls -A /etc/netdisk/keys").stdout).toBe("t1.key\n");
  });

  it("does not overwrite", () => {
    shell.write(key, "mine");
    expect(make().status).toBe(1);
    expect(shell.read(key)).toBe("mine");
  });
});

describe("seal", () => {
  const blob = "/var/lib/netdisk/recovery/t1.gpg";
  const wish = {
    ...{ name: "t1", keyFile: key, keyPassphrase: undefined, keySlot: undefined, header, luksUuid: uuid },
    passphrase: new Secret("long enough"),
  };
  const seal = (keyReading: KeyReading = "whole") =>
    shell.run(commandOf(recovery.plan({ is: "absent" }, { ...wish, keyReading }, { name: "t1" })[0]));

  it.each([
    ["another key", `case $1 in luksUUID) echo ${uuid} ;; *) exit 2 ;; esac`],
    ["another header", "case $1 in luksUUID) echo 1 ;; *) exit 0 ;; esac"],
  ])("does not overwrite a blob that opens with one of %s", (_, cryptsetup) => {
    shell.write(blob, "the last copy");
    shell.stub("cryptsetup", cryptsetup);
    shell.stub("gpg", "exit 0");
    const { status, stderr } = seal();
    expect(status).toBe(1);
    expect(stderr).toContain("docs/recovery.md");
    expect(shell.read(blob)).toBe("the last copy");
    expect(shell.calls().some((call) => call.startsWith("gpg"))).toBe(false);
  });

  it.each(readings)("takes a key that was last read: %s, and opens the disk: %s", (last, reading) => {
    shell.write(key, "the key");
    shell.write(header, "the header");
    shell.stub("cryptsetup", opensBy(reading));
    shell.stub("gpg", `while [ "$1" != --output ]; do shift; done; cat >/dev/null; echo sealed >"$2"`);
    expect(seal(last)).toMatchObject({ status: 0 });
    expect(shell.read(blob)).toBe("sealed\n");
  });
});

describe("restore", () => {
  const blob = "/var/lib/netdisk/recovery/t1.gpg";
  const wish = {
    name: "t1",
    keyFile: key,
    keyPassphrase: undefined,
    keySlot: undefined,
    header,
    luksUuid: uuid,
    passphrase: new Secret("long enough"),
  };
  const state = { kept: true, inPlace: false, current: false, sealed: new Secret("-") };
  const restore = (keyReading: KeyReading = "whole") =>
    shell.run(commandOf(recovery.plan({ is: "present", state }, { ...wish, keyReading }, { name: "t1" })[0]));
  const opensWith = (luksUuid: string, status = 0) =>
    shell.stub("cryptsetup", `case $1 in luksUUID) echo ${luksUuid} ;; *) exit ${status} ;; esac`);

  beforeEach(() => {
    shell.write("sealed/key", "the key");
    shell.write("sealed/header", "the header");
    shell.write(blob, "sealed");
    shell.stub("gpg", `tar -C ${shell.path("sealed")} -cz key header`);
    opensWith(uuid);
  });

  it("puts both back, for root only, and leaves nothing in memory", () => {
    expect(restore()).toMatchObject({ status: 0, stderr: "" });
    expect([shell.read(key), shell.read(header)]).toEqual(["the key", "the header"]);
    expect(statSync(shell.path(key)).mode & 0o777).toBe(0o400);
    expect(shell.run("ls /run/netdisk-*").stderr).toContain("No such file");
    expect(restore()).toMatchObject({ status: 0, stdout: "" });
  });

  // Of another kind is the old pair, where a run was killed before it sealed the new one.
  it.each(readings)("puts back a key that was last read: %s, and opens the disk: %s", (last, reading) => {
    shell.stub("cryptsetup", opensBy(reading));
    expect(restore(last)).toMatchObject({ status: 0 });
    expect([shell.read(key), shell.read(header)]).toEqual(["the key", "the header"]);
  });

  it("sets aside what differs, each time under another name", () => {
    for (const other of ["one", "two"]) {
      shell.write(key, other);
      expect(restore().status).toBe(0);
      expect(shell.read(key)).toBe("the key");
    }
    expect(shell.run("cat /etc/netdisk/keys/t1.key.set-aside*").stdout).toBe("twoone");
  });

  it("takes no memory for the zeros of a header", () => {
    shell.write("sealed/header", Buffer.alloc(16 * 2 ** 20));
    shell.stub("cryptsetup", `echo ${uuid}; du -k run/*/header >used`);
    expect(restore().status).toBe(0);
    expect(shell.read("used")).toMatch(/^[04]\t/);
    expect(shell.read(header)).toHaveLength(16 * 2 ** 20);
  });

  it("says where there is no room in memory that nothing is wrong with the blob", () => {
    shell.stub("cp", "echo \"cp: error writing '$4': No space left on device\" >&2; exit 1");
    const { status, stderr } = restore();
    expect(status).toBe(1);
    expect(stderr).toMatch(/\/run has no room for what \S+ holds, .* Then run the same again\.\n$/);
    expect(stderr).not.toContain("damaged");
  });

  it("leaves what is there in its place where there is no room for what comes", () => {
    shell.write(key, "mine");
    shell.write(header, "the old header");
    shell.stub("cp", `case $* in *.new) echo half >"$3"; exit 1 ;; esac; exec /bin/cp "$@"`);
    expect(restore().status).toBe(1);
    expect([shell.read(key), shell.read(header)]).toEqual(["mine", "the old header"]);
    expect(shell.run("ls /var/lib/netdisk/headers").stdout).toBe("t1.luks\n");
  });

  it("comes after the state's blob where the client's is none, which is set aside", () => {
    const lost = { ...state, kept: false, sealed: new Secret("GOOD") };
    const wishes = { ...wish, keyReading: "whole" as const };
    const [room, write] = recovery.plan({ is: "present", state: lost }, wishes, { name: "t1" });
    for (const said of [/set-aside now\n$/, /^/]) {
      // Still there, in case that what comes finds no room; and no second time aside then.
      expect(shell.run(commandOf(room))).toMatchObject({
        status: 0,
        stdout: expect.stringMatching(said) as string,
      });
      expect(shell.run(`cat ${blob} ${blob}.set-aside*`).stdout).toBe("sealedsealed");
    }
    expect(write).toMatchObject({ do: "write", path: blob, content: "GOOD" });
    // Where there is none, there is nothing to set aside.
    shell.run(`rm ${blob}`);
    expect(shell.run(commandOf(room))).toMatchObject({ status: 0, stdout: "" });
  });

  it("knows whose blob it is, and leaves nothing in memory", () => {
    const ask = () => {
      const { status, ...said } = shell.run(gpgHeader.command(blob).text);
      return gpgHeader.parse({ exitCode: status, ...said }, blob);
    };
    expect(ask()).toBe(uuid);
    shell.stub("gpg", "echo gpg: decryption failed: Bad session key >&2; exit 2");
    expect(ask()).toBeUndefined();
    shell.stub("gpg", "echo no tar of ours");
    expect(ask()).toBeUndefined();
    expect(shell.run("ls /run/netdisk-*").stderr).toContain("No such file");
  });

  it.each([
    ["another disk's blob", () => opensWith("1"), "nothing was put back"],
    ["a key that opens nothing", () => opensWith(uuid, 2), "nothing was put back"],
    ["a blob that does not open", () => shell.stub("gpg", "exit 2"), "cannot be opened"],
  ])("puts nothing back from %s", (_, given, said) => {
    given();
    shell.write(key, "mine");
    const { status, stderr } = restore();
    expect(status).toBe(1);
    expect(stderr).toContain(said);
    expect(shell.read(key)).toBe("mine");
    expect(shell.read(header)).toBeUndefined();
  });
});
