/** From two bare hosts to a disk that keeps its bytes through destroy, reboot and power cut. */
import { describe, expect } from "vitest";
import { bytesOn, hosts, lab, mounted, on, powerCycle, type HostName } from "./harness/lab";
import { pulumi, testdisk } from "./harness/project";
import { until } from "./harness/run";
import { bootIds, expectNoChanges, keepMounted, ladder, pristine, up } from "./harness/scenario";
import { firstMissing, startWriter } from "./harness/writer";

const minutes = (n: number) => n * 60_000;
const backing = "/var/lib/netdisk/testdisk.img";

describe("the ladder", () => {
  const step = ladder();
  let checksum = "";
  const readChecksum = () => on("client", "sha256sum /mnt/disk/data | cut -d' ' -f1");

  step(
    "up makes a disk of two bare hosts",
    async () => {
      await pristine();
      // Without --skip-preview, as people do: a preview of bare hosts must neither fail nor change them.
      const preview = await pulumi(["preview"]);
      expect(preview.code, preview.output).toBe(0);
      expect(preview.output).toContain("would run: apt-get install nbd-server");
      for (const host of hosts) expect(await on(host, "ls /var/lib")).not.toContain("netdisk");
      const output = await up();
      expect(output).toMatch(/\+ \d+ created/);
      await mounted();
      await keepMounted();
    },
    minutes(15),
  );

  step("a second up changes nothing", async () => {
    await expectNoChanges();
    const output = await up();
    expect(output).toMatch(/\d+ unchanged/);
    expect(output).not.toMatch(/created|updated|deleted|replaced/);
  });

  step("the client's own tools say that all is as the article has it", async () => {
    const status = await on("client", "cryptsetup status testdisk");
    expect(status).toContain("/dev/mapper/testdisk is active and is in use");
    expect(status).toMatch(/type:\s+LUKS2/);
    expect(status).toMatch(/cipher:\s+aes-xts-plain64/);
    expect(status).toMatch(/keysize:\s+512/);
    expect(status).toMatch(/sector size:\s+4096/);
    const xfs = await on("client", "xfs_info /mnt/disk");
    expect(xfs).toMatch(/crc=1/);
    expect(xfs).toMatch(/finobt=1/);
    const mount = await on("client", "findmnt -n -o SOURCE,FSTYPE /mnt/disk");
    expect(mount).toMatch(/^\/dev\/mapper\/testdisk\s+xfs$/);
    expect(await on("client", "systemctl is-enabled netdisk@testdisk.target")).toBe("enabled");
    expect(await on("client", "readlink -f /dev/netdisk/testdisk")).toMatch(/^\/dev\/nbd\d+$/);
  });

  step("the server listens on loopback only and is configured in its own files", async () => {
    const listening = (await on("server", "ss -Hltn 'sport = :10809'"))
      .split("\n")
      .map((line) => line.split(/\s+/)[3]);
    expect(listening.length).toBeGreaterThan(0);
    for (const socket of listening) expect(socket).toMatch(/^(127\.0\.0\.1|\[::1\]):10809$/);
    expect(await on("server", "cat /etc/nbd-server/config")).toMatch(/^\[generic\]/m);
    expect(await on("server", "cat /etc/nbd-server/conf.d/testdisk.conf")).toContain(
      `exportname = ${backing}`,
    );
    expect(await on("server", "grep -v '^#' /etc/nbd-server/allow")).toBe("127.0.0.1/32");
  });

  step("a file written through the mount is nowhere on the server in plain text", async () => {
    const marker = `plain text marker ${"0123456789abcdef".repeat(3)}`.slice(0, 64);
    await on("client", "cat > /mnt/disk/marker && sync -f /mnt/disk/marker", marker);
    await on("client", "head -c 40M /dev/urandom > /mnt/disk/data && sync -f /mnt/disk/data");
    checksum = await readChecksum();
    const stored = await bytesOn("server", `cat ${backing}`);
    expect(stored.length).toBe(512 * 2 ** 20);
    expect(stored.indexOf(marker)).toBe(-1);
    // The same search finds what the server does know: the header's magic bytes.
    expect(stored.indexOf("LUKS")).toBe(0);
  });

  step("destroy detaches everything and keeps backing, header and key", async () => {
    const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
    expect(code, output).toBe(0);
    expect(await on("client", "findmnt /mnt/disk || test $? = 1")).toBe("");
    expect(await on("client", "ls /dev/mapper")).toBe("control");
    expect(await on("client", "ls /etc/systemd/system | grep netdisk || test $? = 1")).toBe("");
    // A device of size 0 is attached to nothing; lsblk would hide it.
    expect(await on("client", "cat /sys/block/nbd*/size | sort -u")).toBe("0");
    expect(await on("server", "ls /etc/nbd-server/conf.d")).toBe("");
    expect(await on("server", "ss -Hltn 'sport = :10809'")).toBe("");
    for (const host of ["server", "client"] as const) {
      expect(await on(host, "find /var/lib/netdisk/claims -type f")).toBe("");
    }
    await on("server", `test -s ${backing}`);
    await on(
      "client",
      "test -s /etc/netdisk/keys/testdisk.key && test -s /var/lib/netdisk/headers/testdisk.luks",
    );
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
      for (const host of ["server", "client"] as const) {
        await lab("reboot", host);
        await mounted();
        expect(await readChecksum()).toBe(checksum);
        await expectNoChanges();
      }
      const after = await bootIds();
      expect(after.some((id) => before.includes(id))).toBe(false);
    },
    minutes(5),
  );

  for (const host of ["server", "client"] satisfies HostName[]) {
    step(
      `after a power cut of the ${host} under fsync'd writes, everything that was fsync'd is there`,
      async () => {
        const file = `/mnt/disk/records-${host}`;
        const writer = startWriter(file);
        await until("30 records are acknowledged", 60, async () => writer.acknowledged() >= 30);
        await powerCycle(host);
        await writer.gone;
        await mounted(testdisk.mount.path, 180);
        expect(await firstMissing(file, writer.acknowledged())).toBeUndefined();
        expect(await readChecksum()).toBe(checksum);
        await expectNoChanges();
      },
      minutes(5),
    );
  }
});
