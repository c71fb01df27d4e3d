/**
 * From two hosts without a disk to one that keeps its bytes through destroy, reboot and power cut: the same rungs for
 * every stack variant, each proved on the hosts themselves.
 *
 * A variant is data. To add one: a `Variant` in a `*.long.test.ts` (variants.long.test.ts has them as a table; put
 * there what needs no code of its own), made of `defaultVariant` by overriding what differs:
 * - `stack`: the stack file (`{ ...defaultStack, disks: … }`) and its secrets; the disk is always called testdisk and
 *   mounted at /mnt/disk;
 * - `prepare`: what the hosts need before the first `up` and lose nothing of at a reboot;
 * - `checks`: what the hosts' own tools say once it is up, by the title of the test. `clientTools` and
 *   `serverTools` are those of the default stack: take over what still holds;
 * - `backing`: the path on the server that holds the cipher text; `key`: that of the key file on the client;
 * - `unlock`: called after each start of a host, where the disk waits for somebody (a passphrase);
 * - `waits`: where the disk's users sit out a power cut of the server;
 * - `gone`: what must hold after `destroy` besides what holds for all.
 */
import { beforeAll, describe, expect } from "vitest";
import { hosts, lab, mounted, on, powerCycle, type HostName } from "./lab";
import { upAsForeseen } from "./foreseen";
import { defaultStack, pulumi, testdisk, type StackSettings } from "./project";
import { places } from "./remains";
import { until } from "./run";
import { bootIds, destroy, expectNoChanges, ladder, makePrepared, prepared, pristine, up } from "./scenario";
import { firstMissing, goesOn, startWriter } from "./writer";

export interface Variant {
  /** Follows "the ladder of ". */
  name: string;
  stack: StackSettings;
  prepare?: () => Promise<void>;
  /** Right after the first `up`. */
  made?: () => Promise<void>;
  checks: Record<string, () => Promise<void>>;
  backing: string;
  key: string;
  unlock?: () => Promise<void>;
  /** A power cut of the server ends no writer: it waits, and goes on. */
  waits?: boolean;
  gone?: () => Promise<void>;
}

const minutes = (n: number) => n * 60_000;
const path = testdisk.mount.path;

const luks2 = [/type:\s+LUKS2/, /cipher:\s+aes-xts-plain64/, /keysize:\s+512/, /sector size:\s+4096/];

/** `container`: what cryptsetup says of the open mapping. */
export async function clientTools(container = luks2): Promise<void> {
  const status = await on("client", "cryptsetup status testdisk");
  expect(status).toContain("/dev/mapper/testdisk is active and is in use");
  for (const line of container) expect(status).toMatch(line);
  const xfs = await on("client", `xfs_info ${path}`);
  expect(xfs).toMatch(/crc=1/);
  expect(xfs).toMatch(/finobt=1/);
  const mount = await on("client", `findmnt -n -o SOURCE,FSTYPE ${path}`);
  expect(mount).toMatch(/^\/dev\/mapper\/testdisk\s+xfs$/);
  expect(await on("client", "systemctl is-enabled netdisk@testdisk.target")).toBe("enabled");
  expect(await on("client", "readlink -f /dev/netdisk/testdisk")).toMatch(/^\/dev\/nbd\d+$/);
}

/** `exportName`: what the export serves. */
export async function serverTools(exportName: string): Promise<void> {
  const listening = (await on("server", "ss -Hltn 'sport = :10809'"))
    .split("\n")
    .map((line) => line.split(/\s+/)[3]);
  expect(listening.length).toBeGreaterThan(0);
  for (const socket of listening) expect(socket).toMatch(/^(127\.0\.0\.1|\[::1\]):10809$/);
  expect(await on("server", "cat /etc/nbd-server/config")).toMatch(/^\[generic\]/m);
  expect(await on("server", "cat /etc/nbd-server/conf.d/testdisk.conf")).toContain(
    `exportname = ${exportName}\n`,
  );
  expect(await on("server", "grep -v '^#' /etc/nbd-server/allow")).toBe("127.0.0.1/32");
}

const backing = "/var/lib/netdisk/testdisk.img";

export const defaultVariant: Variant = {
  name: "a disk with transport: forward",
  stack: defaultStack,
  checks: {
    "the client's own tools say that all is as the article has it": () => clientTools(),
    "the server listens on loopback only and is configured in its own files": () => serverTools(backing),
  },
  backing,
  key: "/etc/netdisk/keys/testdisk.key",
};

/** Which of the texts the server's bytes hold; zeros are line ends here, or a sparse disk were one long line. */
async function foundOnServer(file: string, ...texts: string[]): Promise<string[]> {
  const patterns = texts.map((text) => `-e '${text}'`).join(" ");
  const found = await on("server", `tr '\\0' '\\n' <${file} | LC_ALL=C grep -oaF ${patterns} | sort -u`);
  return found.split("\n").filter(Boolean);
}

/** Where the first rung begins, and what a preview there says that `up` would run. */
interface Start {
  hosts: string;
  ready?: () => Promise<void>;
  begin: (stack: StackSettings) => Promise<void>;
  wouldRun: RegExp;
}

const bare: Start = {
  hosts: "two bare hosts",
  begin: pristine,
  wouldRun: /would run: apt-get install nbd-server/,
};
const withPackages: Start = {
  hosts: "two hosts that have the packages and a build of nbd already",
  ready: makePrepared,
  begin: prepared,
  wouldRun: /would run: ./,
};

/** Changes with any file that netdisk could have left, its content or its place. */
const traces = (host: HostName) =>
  on(host, `find ${places} -printf '%p %T@\\n' 2>/dev/null | sort | sha256sum`);

/** From bare hosts, as the first disk's: minutes for packages and the build of nbd, which a variant need not prove. */
export const ladderFromNothing = (variant: Variant): void => {
  climb(variant, bare);
};

export const ladderOf = (variant: Variant): void => {
  climb(variant, withPackages);
};

function climb(variant: Variant, start: Start): void {
  const { stack, checks, unlock } = variant;

  describe(`the ladder of ${variant.name}`, () => {
    if (start.ready) beforeAll(start.ready, minutes(40));
    const step = ladder();
    let checksum = "";
    const readChecksum = () => on("client", `sha256sum ${path}/data | cut -d' ' -f1`);

    async function back(): Promise<void> {
      await unlock?.();
      await mounted();
    }

    step(
      `up makes a disk of ${start.hosts}`,
      async () => {
        await start.begin(stack);
        await variant.prepare?.();
        const before = await Promise.all(hosts.map(traces));
        // Without --skip-preview, as people do: a preview of bare hosts must neither fail nor change them.
        const preview = await pulumi(["preview"]);
        expect(preview.code, preview.output).toBe(0);
        expect(preview.output).toMatch(start.wouldRun);
        expect(await Promise.all(hosts.map(traces))).toEqual(before);
        const output = await upAsForeseen(preview.output, true);
        expect(output).toMatch(/\+ \d+ created/);
        await mounted();
        await variant.made?.();
      },
      minutes(20),
    );

    step("a second up changes nothing", async () => {
      await expectNoChanges();
      const output = await up();
      expect(output).toMatch(/\d+ unchanged/);
      expect(output).not.toMatch(/created|updated|deleted|replaced/);
    });

    for (const [title, check] of Object.entries(checks)) step(title, check);

    step(
      "a file written through the mount is nowhere on the server in plain text",
      async () => {
        const marker = `plain text marker ${"0123456789abcdef".repeat(3)}`.slice(0, 64);
        await on("client", `cat > ${path}/marker && sync -f ${path}/marker`, marker);
        await on("client", `head -c 40M /dev/urandom > ${path}/data && sync -f ${path}/data`);
        checksum = await readChecksum();
        // The same search finds what the server does know: the header's magic bytes.
        expect(await foundOnServer(variant.backing, marker, "LUKS")).toEqual(["LUKS"]);
        expect(await on("server", `head -c 4 ${variant.backing}`)).toBe("LUKS");
      },
      minutes(10),
    );

    step("destroy detaches everything and keeps backing, header and key", async () => {
      await destroy();
      expect(await on("client", `findmnt ${path} || test $? = 1`)).toBe("");
      expect(await on("client", "ls /dev/mapper")).toBe("control");
      expect(await on("client", "ls /etc/systemd/system | grep netdisk || test $? = 1")).toBe("");
      // A device of size 0 is attached to nothing; lsblk would hide it.
      expect(await on("client", "cat /sys/block/nbd*/size | sort -u")).toBe("0");
      expect(await on("server", "ls /etc/nbd-server/conf.d")).toBe("");
      expect(await on("server", "ss -Hltn 'sport = :10809'")).toBe("");
      expect(await on("server", "losetup --list")).toBe("");
      // Which file it is; it goes with the file only.
      expect(await on("server", "find /etc -path '*netdisk*' ! -type d")).toBe("/etc/netdisk/made/testdisk");
      for (const host of hosts) {
        expect(await on(host, "find /var/lib/netdisk/claims -type f")).toBe("");
      }
      expect(await on("server", `head -c 4 ${variant.backing}`)).toBe("LUKS");
      await on("client", `test -s ${variant.key} && test -s /var/lib/netdisk/headers/testdisk.luks`);
      await variant.gone?.();
    });

    step("up after destroy brings the same data back, without building nbd again", async () => {
      expect(await on("client", "ls -A /opt/nbd 2>/dev/null || test $? = 2")).toBe("");
      const build = () => on("client", "stat -c '%i %Y' /var/lib/netdisk/build/nbd-stage/key");
      const kept = await build();
      await up();
      await mounted();
      expect(await build()).toBe(kept);
      expect(await on("client", "ls /var/lib/netdisk/build")).not.toMatch(/^nbd$/m);
      expect(await readChecksum()).toBe(checksum);
    });

    step(
      "after a clean reboot of both hosts the disk is back by itself, and nothing differs",
      async () => {
        const before = await bootIds();
        for (const host of hosts) {
          await lab("reboot", host);
          await back();
          expect(await readChecksum()).toBe(checksum);
          await expectNoChanges();
        }
        const after = await bootIds();
        expect(after.some((id) => before.includes(id))).toBe(false);
      },
      minutes(20),
    );

    for (const host of hosts) {
      step(
        `after a power cut of the ${host} under fsync'd writes, everything that was fsync'd is there`,
        async () => {
          const file = `${path}/records-${host}`;
          const writer = startWriter(file);
          await until("30 records are acknowledged", 240, async () => writer.acknowledged() >= 30);
          await powerCycle(host);
          if (variant.waits && host === "server") {
            await goesOn(writer, 180);
            await writer.stop();
            expect(writer.failure()).toBeUndefined();
          } else {
            await writer.gone;
          }
          await back();
          expect(await firstMissing(file, writer.acknowledged())).toBeUndefined();
          expect(await readChecksum()).toBe(checksum);
          await expectNoChanges();
        },
        minutes(15),
      );
    }
  });
}
