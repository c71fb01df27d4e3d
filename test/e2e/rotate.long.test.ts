/**
 * Another key, and another passphrase, for a disk that is in use: from then on only the new one opens it, and no kill on
 * the way costs more than another `up`.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesOn, mounted, on, tryOn } from "./harness/lab";
import { passphrase, pulumi, setDisks, setSecret, testdisk, type Disk } from "./harness/project";
import { expectRescue as rescue, headerOf, keyOf, opens, slotsOf } from "./harness/rescue";
import { expectNoChanges, startMounted, up } from "./harness/scenario";
import { expectConverges, strikeBefore } from "./harness/strike";
import { firstMissing, goesOn, startWriter, type Writer } from "./harness/writer";

const minutes = (n: number) => n * 60_000;

const key = keyOf("testdisk");
const header = headerOf("testdisk");
const log = "/mnt/disk/log";
const expectRescue = (by: string) => rescue("testdisk", by);

let writer: Writer;
let slot = 0;

const wish = (to: number): void => setDisks({ testdisk: { ...testdisk, key: { slot: to } } });

/** The old key and the header that it opened are kept aside, to be tried against what is there afterwards. */
const keepOldKey = () => on("client", `cp ${key} /root/old.key`);

async function expectRotated(): Promise<void> {
  expect(await slotsOf(header)).toEqual([slot]);
  expect(await slotsOf("/dev/netdisk/testdisk")).toEqual([slot]);
  expect((await tryOn("client", `${opens} ${key} ${header}`)).code).toBe(0);
  expect((await tryOn("client", `${opens} ${key} /dev/netdisk/testdisk`)).code).toBe(0);
  for (const place of [header, "/dev/netdisk/testdisk"])
    expect((await tryOn("client", `${opens} /root/old.key ${place}`)).code, `the old key, ${place}`).toBe(2);
  expect(
    await on("client", `ls -A ${key.replace(/[^/]*$/, "")} ${header.replace(/[^/]*$/, "")}`),
  ).not.toMatch(/\.(next|old|new|before)$/m);
  expect((await bytesOn("client", `cat ${key}`)).length).toBe(64);
  expect(await on("client", `stat -c '%a %U' ${key}`)).toBe("400 root");
}

beforeAll(async () => {
  await startMounted();
  writer = startWriter(log);
}, minutes(60));

afterAll(async () => {
  await writer.stop();
});

describe("another key slot", () => {
  it(
    "is shown by a preview, step by step, and changes the key under a writer",
    async () => {
      await keepOldKey();
      slot = 1;
      wish(slot);
      const preview = await pulumi(["preview"]);
      expect(preview.output).toContain("add it to the header as key slot 1 (cryptsetup luksAddKey)");
      expect(preview.output).toContain("destroy key slot 0 (cryptsetup luksKillSlot)");
      await up();
      await expectRotated();
      await expectRescue(passphrase);
      await goesOn(writer, 60);
      await expectNoChanges();
    },
    minutes(30),
  );

  it.each([
    ["the new header is made", "cryptsetup", "luksAddKey*"],
    ["the new header is written to the device", "dd", `"if=${header} of=/dev"*`],
    ["the new key has the key file's name", "mv", "*.key.next*"],
    ["the old slot is destroyed", "cryptsetup", "luksKillSlot*"],
    ["the device loses the old slot", "dd", `"if=${header}.new of=/dev"*`],
    ["the leftovers are removed", "shred", "*"],
    ["the sealed copy is renewed", "gpg", "*--symmetric*"],
  ])(
    "survives SIGKILL of the providers before %s",
    async (_, program, pattern) => {
      await keepOldKey();
      slot = (slot + 1) % 8;
      wish(slot);
      await strikeBefore("SIGKILL of the providers", program, pattern);
      await goesOn(writer, 60);
      await expectConverges();
      await expectRotated();
      await expectRescue(passphrase);
    },
    minutes(30),
  );

  it(
    "is refused when somebody else's key is in it",
    async () => {
      const taken = (slot + 1) % 8;
      await on(
        "client",
        `echo somebody | cryptsetup luksAddKey -q --key-slot ${taken} --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file ${key} ${header} -`,
      );
      wish(taken);
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain(`key slot ${taken} of ${header} holds a key that netdisk did not put there`);
      await on("client", `cryptsetup luksKillSlot -q --key-file ${key} ${header} ${taken}`);
      wish(slot);
      await up();
      await expectNoChanges();
    },
    minutes(20),
  );
});

it(
  "another recovery passphrase seals the copy in the state anew",
  async () => {
    const next = "another recovery passphrase";
    await setSecret("recovery.passphrase", next);
    await up();
    await expectRescue(next);
    await expect(expectRescue(passphrase)).rejects.toThrow("exit status");
    await expectNoChanges();
  },
  minutes(20),
);

it(
  "another passphrase of a key that gpg sealed seals the same key anew, and opens the disk after that",
  async () => {
    const file = "/etc/netdisk/vault-key.asc";
    const vault: Disk = { file: { size: "320 MiB" }, mount: { path: "/mnt/vault" }, key: { gpg: file } };
    const decrypt = (by: string) =>
      tryOn(
        "client",
        `h=$(mktemp -d) && printf '%s\\n' ${JSON.stringify(by)} | gpg --homedir $h --batch --quiet --pinentry-mode loopback --passphrase-fd 0 -d ${file} 2>/dev/null | sha256sum; rm -r $h`,
      );
    setDisks({ testdisk: { ...testdisk, key: { slot } }, vault });
    await setSecret("disks.vault.key.passphrase", "the first passphrase");
    await up();
    await mounted("/mnt/vault");
    const before = (await decrypt("the first passphrase")).output;
    await setSecret("disks.vault.key.passphrase", "the second passphrase");
    await up();
    expect((await decrypt("the second passphrase")).output).toBe(before);
    expect((await decrypt("the first passphrase")).output).not.toBe(before);
    await expectNoChanges();
    await on("client", "systemctl stop netdisk@vault.target");
    await up();
    await mounted("/mnt/vault");
  },
  minutes(40),
);

it("has cost the writer nothing", async () => {
  expect(writer.failure()).toBeUndefined();
  expect(await firstMissing(log, writer.acknowledged())).toBeUndefined();
});
