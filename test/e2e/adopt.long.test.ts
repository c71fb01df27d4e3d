/**
 * A disk that was made by hand, by the article's commands and with data on it, is taken over without touching a byte
 * (docs/adopt.md).
 */
import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { parse } from "yaml";
import { articleStack, backingFile, keyPassphrase } from "./harness/article";
import { deactivate, makeByHand } from "./harness/handMade";
import { lab, mounted, on } from "./harness/lab";
import { unlocked } from "./harness/passphrase";
import {
  type Disk,
  newProject,
  pulumi,
  setDisks,
  stackFile,
  state,
  type StackSettings,
} from "./harness/project";
import { destroy, expectNoChanges, ladder, pristine, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const key = "/root/testdisk-key.asc";
const path = "/mnt/disk";

const { testdisk } = articleStack.disks;

/** The article's stack, with the key where its reader has it. */
const stackWith = (adopt: string): StackSettings & { adopt: Record<string, string> } => ({
  ...articleStack,
  disks: { testdisk: { ...testdisk!, key: { gpg: key, bytes: 4096 }, blockSize: 512 } },
  adopt: { testdisk: adopt },
});

/** Everything that holds bytes of the disk, or decides what they mean. */
const digests = async () => ({
  disk: await on("server", `sha256sum <${backingFile}`),
  // As cryptsetup sees them: header with key slots.
  header: await on("server", `head -c 2M ${backingFile} | sha256sum`),
  key: await on("client", `sha256sum <${key}`),
});

/** As they are in the stack file, with the passphrase. */
const disksAsWritten = () =>
  (parse(readFileSync(stackFile, "utf8")) as { config: { "netdisk-e2e:disks": Record<string, Disk> } })
    .config["netdisk-e2e:disks"];

const filesystemUuid = () => on("client", "blkid -p -o value -s UUID /dev/mapper/testdisk");

describe("a disk that was made by hand", () => {
  const step = ladder();
  let uuid = "";
  let filesystem = "";
  let sums = "";
  let before: Awaited<ReturnType<typeof digests>>;
  const readSums = () => on("client", `cd ${path} && sha256sum data photos/*`);

  step(
    "is made by the article's commands, and has data",
    async () => {
      await pristine();
      await makeByHand();
      await on(
        "client",
        `mkdir ${path}/photos && head -c 60M /dev/urandom >${path}/data && for i in 1 2 3; do head -c 1M /dev/urandom >${path}/photos/$i; done && sync -f ${path}`,
      );
      sums = await readSums();
      filesystem = await filesystemUuid();
      uuid = await on("client", "cryptsetup luksUUID /dev/nbd0");
    },
    minutes(40),
  );

  step("is not taken over while it runs: the preview names what holds it, on both hosts", async () => {
    // As an installer writes it; known only while the disk is open.
    await on("client", `echo "UUID=${filesystem} ${path} xfs noauto 0 0" >>/etc/fstab`);
    await newProject(stackWith(uuid));
    const { output } = await pulumi(["preview"]);
    expect(output).toMatch(
      /\/var\/tmp\/test\.img is a regular file that netdisk did not make, and in use: .*behind \/dev\/loop0/,
    );
    expect(output).toMatch(
      /the disk "testdisk" is not taken down: \/dev\/mapper\/testdisk is open; .* is mounted at \/mnt\/disk; \/dev\/nbd0 is attached; .*fstab has a line for it: UUID=/,
    );
    expect(output).toContain("/opt/nbd holds programs that netdisk did not build");
    expect(await readSums()).toBe(sums);
  });

  step("is deactivated as printed; what is left of it is named", async () => {
    await deactivate();
    // No process tells of it, and nothing lies on it.
    await on("client", "/opt/nbd/sbin/nbd-client -name testdisk localhost 10809 /dev/nbd0 -timeout 30 >&2");
    expect((await pulumi(["preview"])).output).toContain(
      '"testdisk" is not taken down: /dev/nbd0 is attached. ',
    );
    await on("client", "/opt/nbd/sbin/nbd-client -d /dev/nbd0");
    // Of which the article does not speak: what is served, and the programs that were built.
    await on("client", "pkill -x ssh; mv /opt/nbd /opt/nbd.by-hand");
    await on("server", "losetup --detach /dev/loop0");
    before = await digests();
    const { output } = await pulumi(["preview"]);
    expect(output).toMatch(
      /nbd-server is told to serve .* by its number: \/etc\/nbd-server\/conf\.d\/local\.conf \(exportname = \/dev\/loop0\)/,
    );
    await on("server", "rm /etc/nbd-server/conf.d/local.conf");
  });

  step("another UUID is refused", async () => {
    await newProject(stackWith("30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11"));
    const { output } = await pulumi(["preview"]);
    expect(output).toContain(`is not the disk to adopt: it has LUKS UUID ${uuid}`);
    expect(await digests()).toEqual(before);
    await newProject(stackWith(uuid));
  });

  step("the preview lists what was found, and what would be added", async () => {
    const { code, output } = await pulumi(["preview"]);
    expect(code, output).toBe(0);
    expect(output).toContain(`${backingFile} holds the LUKS container ${uuid}, the one to adopt`);
    expect(output).toContain("backing-file/testdisk is there already, and is taken over as it is");
    expect(output).toMatch(/owner: "root" → "nbd"/);
    expect(output).toContain("luks-key/testdisk is there already");
    expect(output).toMatch(/would run: write \/etc\/systemd\/system\/netdisk-loop@testdisk\.service/);
    expect(await digests()).toEqual(before);
  });

  step(
    "a block size that its file system does not mount with is refused with the right one, and can be put right",
    async () => {
      const disks = disksAsWritten();
      // The default is 4096.
      setDisks({ testdisk: { ...disks.testdisk!, blockSize: undefined } });
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain("the key is the first line of");
      expect(output).toContain(
        "/dev/mapper/testdisk holds an XFS with sectors of 512 bytes, which cannot be mounted over blocks of 4096. " +
          "Take the disk out of the stack file, with its line under `adopt`, and run `pulumi up` (where it is the only one, " +
          "`pulumi destroy` with the file as it is), which gives it back unharmed; " +
          "then write both, with `blockSize: 512`.",
      );
      await destroy();
      expect(await digests()).toEqual(before);
      setDisks(disks);
    },
    minutes(40),
  );

  step(
    "up takes it over: the header and the key are byte for byte the same, and so is the data",
    async () => {
      const output = await up();
      expect(output).toMatch(/fstab mounts the disk, too: UUID=/);
      await on("client", "sed -i /^UUID=.*noauto/d /etc/fstab");
      expect(output).not.toMatch(/luksFormat|mkfs/);
      await mounted(path);
      expect(await readSums()).toBe(sums);
      expect(await filesystemUuid()).toBe(filesystem);
      const { header, key } = await digests();
      expect({ header, key }).toEqual({ header: before.header, key: before.key });
    },
    minutes(40),
  );

  step("what was found is in the state: which reading of the key fits, and its length", async () => {
    const luks = state().resources.find(({ type }) => type === "netdisk:index:Luks");
    const open = "gpg --batch --quiet --pinentry-mode loopback --passphrase-fd 0 -d";
    const length = await on("client", `${open} ${key} | head -n 1 | tr -d '\\n' | wc -c`, keyPassphrase);
    expect(luks?.outputs).toMatchObject({ uuid, keyReading: "first line", keyBytes: Number(length) });
  });

  step("nothing differs, and a second up changes nothing", async () => {
    await expectNoChanges();
    expect(await up()).not.toMatch(/created|updated|replaced/);
  });

  step(
    "after a reboot of both hosts it is mounted, with the same data",
    async () => {
      for (const host of ["server", "client"] as const) {
        await lab("reboot", host);
        await unlocked("testdisk", path, keyPassphrase);
        await mounted(path, 180);
      }
      expect(await readSums()).toBe(sums);
      await expectNoChanges();
    },
    minutes(10),
  );

  step(
    "destroy gives it back, and with the line still there the next up takes it as it is",
    async () => {
      const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
      expect(code, output).toBe(0);
      expect((await digests()).header).toBe(before.header);
      await up();
      await mounted(path);
      expect(await readSums()).toBe(sums);
      await expectNoChanges();
    },
    minutes(20),
  );

  step(
    "a client that burned down reads it from the sealed copy",
    async () => {
      await on(
        "client",
        "systemctl stop netdisk@testdisk.target && rm -rf /var/lib/netdisk/headers /root/testdisk-key.asc",
      );
      await up();
      await mounted(path);
      expect(await readSums()).toBe(sums);
      await expectNoChanges();
    },
    minutes(10),
  );
});
