/** Which devices of a server are taken for a disk, and which are somebody's: by what the host answers. */
import { describe, expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import type { Command } from "../../provider/host/sh";
import { blockDevice } from "../../provider/resources/blockDevice";
import { stubbedShell } from "./stubbedShell";

const path = "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4";
const inputs = { name: "vault", path, owner: "nbd", adopt: undefined };
const identity = "WWN 0x5000c500a1b2c3d4";
const note = `${identity}, 4 GiB\n`;
const state = { identity, size: "4 GiB" };

interface Answers {
  /** Sectors; undefined where there is no device. */
  sectors?: number;
  udev?: string;
  /** What lies on it. */
  use?: string;
  /** What else uses it, which is asked of a device that was never ours. */
  users?: string;
  proof?: string;
  blkid?: string;
  note?: string;
  /** Where nbd-server is told to serve it. */
  served?: string;
  /** What the udev rule's file holds. */
  rule?: string;
}

/** Each question of an observation has its own first words. */
function hostOf(answers: Answers): Host {
  const {
    sectors,
    udev = `ID_WWN=${identity.slice(4)}`,
    use = "0 root",
    users = "",
    proof = "blank",
    blkid,
    served = "",
  } = answers;
  const script: [RegExp, string, number][] = [
    [/^if test -b/, `/sys/class/block/sdb\n8:16\n${sectors}\n`, sectors === undefined ? 44 : 0],
    [/^udevadm info/, `DEVTYPE=disk\n${udev}\n`, 0],
    [/^node=/, `${use}\n`, 0],
    [/^\(\nnode=/, users, 0],
    [/^group=/, "", 0],
    [/^for file in /, served, 0],
    [/^\(\nd=/, `${proof}\n`, proof === "" ? 1 : 0],
    [
      /^test -b .* \|\| exit 44\nfound=\$\(blkid/,
      blkid === undefined ? "" : `TYPE=${blkid}\n`,
      blkid === undefined ? 2 : 0,
    ],
  ];
  return {
    label: "server",
    exec: (command: Command) => {
      const [, stdout = "", exitCode = -1] = script.find(([words]) => words.test(command.text)) ?? [];
      if (exitCode === -1) throw new Error(`not expected: ${command.text}`);
      return Promise.resolve({ exitCode, stdout, stderr: "" });
    },
    readFile: (file: string) => {
      const text = file.includes("/made/") ? answers.note : answers.rule;
      return Promise.resolve(text === undefined ? undefined : Buffer.from(text));
    },
  } as unknown as Host;
}

const sectors = 8 * 2 ** 20;
const observe = (answers: Answers, known?: object) =>
  blockDevice.observe(hostOf({ sectors, ...answers }), inputs, { name: "vault", state: known as never });

describe("a device that netdisk never had", () => {
  it("is taken when it is blank and nobody uses it", async () => {
    expect(await observe({})).toMatchObject({
      is: "present",
      state: { ...state, taken: false, users: "none" },
    });
  });

  it.each<[string, Answers, string]>([
    ["is not there", { sectors: undefined }, "there is no "],
    ["has no medium", { sectors: 0 }, "has size 0"],
    ["cannot be told from another", { udev: "ID_PATH=slot-1" }, "neither WWN nor serial number"],
    ["is read-only", { use: "1 root" }, "is read-only"],
    [
      "is mounted",
      { use: "0 root\n  mounted at /srv", proof: "data 0" },
      "is in use on the server: mounted at /srv",
    ],
    [
      "is open",
      { users: "  process 7 (qemu) has the device open\n  swap\n" },
      "(qemu) has the device open, swap",
    ],
    ["has a signature", { blkid: "ext4", proof: "data 0" }, "is not blank: data from byte 0 on"],
    ["has data without a signature", { proof: "data 0" }, "is not blank"],
    ["is somebody's LUKS", { blkid: "crypto_LUKS", proof: "data 0" }, "is not blank"],
    [
      "has another disk's note",
      { note: "WWN 0x5000c500ffffffff, 4 GiB\n", blkid: "crypto_LUKS", proof: "data 0" },
      "not blank",
    ],
  ])("is refused when it %s", async (_, answers, what) => {
    expect(await observe({ ...answers })).toMatchObject({
      is: "foreign",
      what: expect.stringContaining(what) as string,
    });
  });

  // Else the disk, which is mounted, would be led over from its file to this one.
  it.each([undefined, state])(
    "is refused while the disk's note is of a file; the state: %j",
    async (known) => {
      expect(await observe({ note: "123 456\n" }, known)).toEqual({
        is: "foreign",
        what: 'the disk "vault" was in a file, not in a device: /etc/netdisk/made/vault says "123 456"',
        cure:
          "Give the disk its file back. If the device holds a copy that was made while the disk was down, or the file's data may go, " +
          "take the disk down on the client (`systemctl stop netdisk@vault.target`), then remove the note on the server: `rm /etc/netdisk/made/vault`.",
      });
    },
  );

  it("is refused when mkfs.xfs would find it too small, unless a disk lies on it already", async () => {
    const small = { sectors: (256 * 2 ** 20) / 512 };
    expect(await observe(small)).toEqual({
      is: "foreign",
      what: `${path} has 256 MiB, and a disk needs 320 MiB or more: mkfs.xfs takes no less than 300 MiB, and the LUKS header lies before them`,
      cure: "Name a larger device.",
    });
    const smallest = { sectors: (320 * 2 ** 20) / 512 };
    expect(await observe(smallest)).toMatchObject({ is: "present" });
    const taken = { ...small, note: `${identity}, 256 MiB\n`, blkid: "crypto_LUKS" };
    expect(await observe(taken)).toMatchObject({ is: "present" });
  });

  it("names, for a LUKS container, the note that says whose it is, as a fresh server can be given it", async () => {
    const seen = await observe({ blkid: "crypto_LUKS", proof: "data 0" });
    const cure = "cure" in seen ? seen.cure : "";
    expect(cure).toContain(
      "`mkdir -p /etc/netdisk/made && echo 'WWN 0x5000c500a1b2c3d4, 4 GiB' >/etc/netdisk/made/vault`",
    );
    const shell = stubbedShell();
    const command = /`(mkdir .*)`/.exec(cure)?.[1] ?? "";
    expect(shell.run(command)).toMatchObject({ status: 0, stderr: "" });
    const written = shell.read("/etc/netdisk/made/vault");
    expect(written).toBe(note);
    expect(await observe({ note: written, blkid: "crypto_LUKS", proof: "data 0" })).toMatchObject({
      is: "present",
      state: { taken: true },
    });
  });

  it("is no answer when it cannot be read", async () => {
    await expect(observe({ proof: "" })).rejects.toThrow("the device could not be read");
  });
});

describe("a device that was this disk's before", () => {
  it("is one disk's alone", () => {
    expect(blockDevice.ownFile?.(inputs)).toMatchObject({ path });
  });

  it.each([undefined, "crypto_LUKS"])("is taken with %s on it: the client is the judge", async (blkid) => {
    expect(await observe({ note, blkid, proof: "data 0" })).toMatchObject({
      is: "present",
      state: { taken: true },
    });
  });

  it("is refused when somebody has mounted it meanwhile; that nbd-server has it open is in order", async () => {
    const users = "  process 8 (nbd-server) has a file, a directory or the device open\n";
    expect(await observe({ note, users, blkid: "crypto_LUKS" })).toMatchObject({ is: "present" });
    const seen = await observe({ note, use: "0 nbd\n  mounted at /srv", blkid: "crypto_LUKS" });
    expect(seen).toMatchObject({ is: "foreign" });
  });

  it("is refused when it is served as another disk", async () => {
    const served = `/etc/netdisk/serve/video.conf (exportname = ${path})`;
    const seen = await observe({ note, blkid: "crypto_LUKS", served: `${served}\n` });
    expect(seen).toMatchObject({ is: "foreign", what: expect.stringContaining(served) as string });
  });

  it("is taken when it has grown since, but not when it was cut", async () => {
    const luks = { note, blkid: "crypto_LUKS", proof: "data 0" };
    expect(await observe({ ...luks, sectors: 2 * sectors })).toMatchObject({
      is: "present",
      state: { size: "8 GiB", taken: false },
    });
    expect(await observe({ ...luks, sectors: sectors / 2 })).toMatchObject({ is: "foreign" });
  });

  it("is refused when it has become something else", async () => {
    expect(await observe({ note, blkid: "ext4", proof: "data 0" })).toMatchObject({ is: "foreign" });
  });
});

describe("a device whose state is known", () => {
  it("is not read again", async () => {
    expect(await observe({ note, proof: "data 0" }, state)).toMatchObject({ is: "present", state });
  });

  it.each<[string, Answers, string]>([
    ["another WWN", { udev: "ID_WWN=0x5000c500ffffffff" }, "is another device now"],
    ["a smaller size", { sectors: sectors / 2 }, "has 2 GiB and had 4 GiB: somebody cut it"],
  ])("is refused with %s", async (_, answers, said) => {
    const what = expect.stringContaining(said) as string;
    expect(await observe({ note, ...answers }, state)).toMatchObject({ is: "foreign", what });
  });

  it("grows with it, and is noted anew", async () => {
    const grown = { note, sectors: 2 * sectors };
    const seen = await observe(grown, state);
    expect(seen).toMatchObject({
      is: "present",
      note: `${path} has grown from 4 GiB to 8 GiB: so does the disk`,
      state: { identity, size: "8 GiB", taken: false },
    });
    const steps = seen.is === "present" ? blockDevice.plan(seen, inputs, { name: "vault" }) : [];
    expect(steps[0]).toMatchObject({ do: "write", content: `${identity}, 8 GiB\n` });
  });

  it("is never absent, and keeps what tells it from others", async () => {
    expect(await observe({ sectors: undefined }, state)).toMatchObject({
      is: "present",
      state: { ...state, exists: false },
    });
  });

  it("shows who uses it meanwhile", async () => {
    const seen = await observe({ note, use: "0 nbd\n  mounted at /srv" }, state);
    expect(seen).toMatchObject({ is: "present", state: { users: "mounted at /srv" } });
  });
});

describe("what a removal has to take away", () => {
  it.each<[string, Answers]>([
    ["a rule that somebody has edited", { use: "0 nbd", rule: "# mine" }],
    ["a rule, also where it gives the device to nobody", { use: "0 root", rule: "" }],
    ["a rule of a device that is gone", { sectors: undefined, rule: "# mine" }],
    ["the device's owner, when its rule is gone", { use: "0 nbd" }],
  ])("is %s", async (_, answers) => {
    expect(await observe({ note, ...answers }, state)).toMatchObject({ is: "present", remains: true });
  });

  it.each<[string, Answers]>([
    ["the device is root's", { use: "0 root" }],
    ["the device is gone", { sectors: undefined }],
  ])("is nothing once the rule is gone and %s", async (_, answers) => {
    expect(await observe({ note, ...answers }, state)).not.toHaveProperty("remains");
  });
});
