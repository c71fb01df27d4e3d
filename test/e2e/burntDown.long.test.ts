/**
 * A host burns down (docs/recovery.md): from the stack's state and the recovery passphrase a new client mounts the same
 * data, so does a new server whose data disk survived, and any Linux reads it without netdisk and Pulumi.
 */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { bytesOn, lab, mounted, on, powerCycle, sshConfig, tryOn, type HostName } from "./harness/lab";
import { status } from "./harness/outage";
import { passphrase, pulumi, setDisks, type Disk } from "./harness/project";
import { must, until } from "./harness/run";
import { expectNoChanges, startMounted, up } from "./harness/scenario";
import { commandsOf } from "./harness/sheet";

const minutes = (n: number) => n * 60_000;
const image = "/srv/data/survivor.img";
const survivor: Disk = { file: { path: image, size: "320 MiB" }, mount: { path: "/mnt/survivor" } };
/** The server's second disk, which survives its host. */
const mountDataDisk = "mkdir -p /srv/data && mount /dev/ubdb /srv/data && chmod 0755 /srv/data";
const header = "/var/lib/netdisk/headers/survivor.luks";

const checksum = () => on("client", "sha256sum </mnt/survivor/data");
const filesystemUuid = () => on("client", "blkid -p -o value -s UUID /dev/mapper/survivor");

/** The pinned host key that NETDISK_HOST_GONE names. */
async function fingerprint(host: HostName): Promise<string> {
  const known = /UserKnownHostsFile (\S+)/.exec(readFileSync(sshConfig, "utf8"))?.[1] ?? "";
  const { output } = await must(["ssh-keygen", "-l", "-F", host, "-f", known]);
  const found = /SHA256:\S+/.exec(output)?.[0];
  if (found === undefined) throw new Error(`no key of ${host} in ${known}: ${output}`);
  return found;
}

const install = (host: HostName, packages: string) =>
  on(
    host,
    `{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${packages}; } >/dev/null 2>&1`,
  );

async function stackOutput(name: string): Promise<string> {
  const { code, stdout, output } = await pulumi(["stack", "output", name, "--show-secrets"]);
  expect(code, output).toBe(0);
  return stdout.toString();
}

let sum = "";
let uuid = "";
let keyDigest = "";

beforeAll(async () => {
  await startMounted();
  await install("server", "e2fsprogs");
  await on("server", `mkfs.ext4 -q /dev/ubdb && ${mountDataDisk}`);
  setDisks({ survivor });
  await up();
  await mounted(survivor.mount.path);
  await on("client", "head -c 60M /dev/urandom >/mnt/survivor/data && sync -f /mnt/survivor/data");
  sum = await checksum();
  uuid = await filesystemUuid();
  keyDigest = await on("client", "sha256sum </etc/netdisk/keys/survivor.key");
}, minutes(20));

describe("a client that burned down", () => {
  it(
    "is replaced by an empty one, which mounts the same data",
    async () => {
      await lab("reset", "client");
      expect((await tryOn("client", "test -e /etc/netdisk || test -e /var/lib/netdisk")).code).toBe(1);
      const run = ["up", "--yes", "--skip-preview"];
      // It has the old one's address and host key, so that nothing tells it from a client that is still there.
      const refused = await pulumi(run, { NETDISK_HOST_GONE: await fingerprint("client") });
      expect(refused.output).toMatch(
        /answers with its pinned key.*, and NETDISK_HOST_GONE=\S+ says that it no longer exists/,
      );
      // The server keeps the disk for the old one until somebody says that it will not come back.
      const { code, output } = await pulumi(run);
      expect(code, output).not.toBe(0);
      expect(output).toMatch(/the disk survivor is held by client since .*netdisk takeover survivor/);
      await on("client", "netdisk takeover survivor");
      await up();
      await mounted(survivor.mount.path);
      expect(await checksum()).toBe(sum);
      expect(await filesystemUuid()).toBe(uuid);
      expect(await on("client", "sha256sum </etc/netdisk/keys/survivor.key")).toBe(keyDigest);
      expect(await on("client", "stat -c %a /etc/netdisk/keys/survivor.key")).toBe("400");
      await expectNoChanges();
    },
    minutes(20),
  );

  it(
    "that only lost key and header gets both back with a plain up",
    async () => {
      const target = "netdisk@survivor.target";
      await on("client", `systemctl stop ${target} && rm /etc/netdisk/keys/survivor.key ${header}`);
      const preview = await pulumi(["preview"]);
      expect(preview.output).toMatch(/netdisk:index:LuksKey .*exists/);
      expect(preview.output).toMatch(/netdisk:index:Recovery .*inPlace/);
      await up();
      await mounted(survivor.mount.path);
      expect(await checksum()).toBe(sum);
      await expectNoChanges();
    },
    minutes(6),
  );
});

describe("a server that burned down, but not its data disk", () => {
  it(
    "is not given an empty file in the place of the data",
    async () => {
      await on("client", "systemctl stop netdisk@survivor.target");
      await on("server", "sync");
      await lab("reset", "server");
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain(`${image} was there and is gone`);
      expect((await tryOn("server", `test -e ${image}`)).code).toBe(1);
    },
    minutes(8),
  );

  it(
    "serves the same data once the disk is in the new one",
    async () => {
      await on("server", mountDataDisk);
      await up();
      await mounted(survivor.mount.path);
      expect(await checksum()).toBe(sum);
      await expectNoChanges();
    },
    minutes(8),
  );

  it(
    "serves no old copy that lies at its path for as long as the data disk is not mounted",
    async () => {
      await on(
        "server",
        `mount --bind / /mnt && cp --sparse=always --preserve=all ${image} /mnt${image} && umount /mnt && sync`,
      );
      await powerCycle("server");
      await until(
        "the copy is refused",
        120,
        async () =>
          (await status("survivor")).reason.includes(`another file than the disk's lies at ${image}`) &&
          (await tryOn("server", "pgrep -x nbd-server")).code === 1,
      );
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toMatch(/another file than the disk's lies at \S+: inode .*; noted is inode /);
      // Waits with all that touches the disk.
      const late = "/mnt/survivor/late";
      await on("client", `systemd-run --collect --unit=late sh -c 'head -c 1M /dev/urandom >${late}'`);
      await on("server", mountDataDisk);
      await until("the disk's own is served", 60, async () => (await status("survivor")).state === "up");
      await until(
        "what waited is written",
        30,
        async () => (await on("client", `sync -f /mnt/survivor; stat -c %s ${late} || :`)) === "1048576",
      );
      expect(await checksum()).toBe(sum);
      await expectNoChanges();
    },
    minutes(8),
  );
});

describe("without netdisk and Pulumi", () => {
  /** What a person would type at gpg's prompt comes on stdin. */
  const opened = (sheet: string, open: string): string => `cd /root/rescue
gpg() { command gpg --batch --pinentry-mode loopback --passphrase-fd 3 "$@"; }
exec 3<&0
${commandsOf(sheet, 1)}
${commandsOf(sheet, 2)}
${open}`;

  /** Nothing of this is there once the disk is closed and the key forgotten. */
  const leftOver = () =>
    on(
      "client",
      "ls -d /dev/mapper/rescue /dev/shm/rescue.* 2>/dev/null; losetup --noheadings --list || true",
    );

  it(
    "the printed sheet's own commands read the disk on another Linux",
    async () => {
      const sheet = await stackOutput("recoverySheet");
      expect(sheet).not.toContain(passphrase);
      await on("client", "sync -f /mnt/survivor && systemctl stop netdisk@survivor.target");
      const bytes = await bytesOn("server", `cat ${image}`);
      await lab("reset", "client");
      await install("client", "gnupg cryptsetup-bin xfsprogs");
      await on("client", "mkdir /root/rescue && cat >/root/rescue/sheet.txt", sheet);
      await on("client", "cat >/root/rescue/disk.img", bytes);
      const output = await on(
        "client",
        `set -e
${opened(sheet, commandsOf(sheet, 3))}
sha256sum </mnt/data
${commandsOf(sheet, 4)}`,
        `${passphrase}\n`,
      );
      expect(output.split("\n").at(-1)).toBe(sum);
      expect(await leftOver()).toBe("");
    },
    minutes(10),
  );

  it(
    "closing it from within, mounted for writing, and while somebody uses it, leaves every byte",
    async () => {
      const sheet = await stackOutput("recoverySheet");
      const writable = commandsOf(sheet, 3).replace(" -o ro,norecovery", "");
      const close = commandsOf(sheet, 4);
      // The other user stands in it until the first attempt has failed.
      const output = await on(
        "client",
        `${opened(sheet, writable)}
cd /mnt && echo new >note && { sleep 600 </dev/null >/dev/null 2>&1 & }
${close}
sha256sum </mnt/data && ls /mnt && kill $! && wait
cd /mnt
${close.split("\n")[0] ?? ""}`,
        `${passphrase}\n`,
      );
      expect(output.split("\n")).toEqual(expect.arrayContaining([sum, "data", "note"]));
      expect(await leftOver()).toBe("");
      const again = await on(
        "client",
        `${opened(sheet, commandsOf(sheet, 3))}
cat /mnt/note && sha256sum </mnt/data
${close}`,
        `${passphrase}\n`,
      );
      expect(again).toBe(`new\n${sum}`);
    },
    minutes(6),
  );
});
