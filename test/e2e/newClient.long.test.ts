/**
 * A client burned down, and another machine, with an address and a host key of its own, takes its place: step by step as
 * docs/recovery.md tells it (A). The old one is a second sshd of the client, with another port and key, which dies with it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { lab, mounted, on, sshConfig, tryOn } from "./harness/lab";
import { config, defaultStack, projectDir, pulumi, setSection, type Disk } from "./harness/project";
import { must } from "./harness/run";
import { expectNoChanges, ladder, prepared, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

const disk: Disk = { file: { size: "320 MiB" }, mount: { path: "/mnt/kept" } };
const oldConfig = join(projectDir, "old_ssh_config");
const oldKnownHosts = join(projectDir, "old_known_hosts");
const oldClient = { ...config.client, host: "old", sshConfig: oldConfig };
const port = 2022;

/** Beside the client's own sshd; says what an engine needs to know of it. */
async function startOldClient(): Promise<void> {
  await on("client", "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/old_key </dev/null");
  await on("client", `systemd-run --quiet --unit=old-sshd /usr/sbin/sshd -D -p ${port} -h /etc/ssh/old_key`);
  const own = /^Host client\n([^]*?)(?:\nHost |$(?![^]))/m.exec(readFileSync(sshConfig, "utf8"))?.[1] ?? "";
  const address = /HostName (\S+)/.exec(own)?.[1] ?? "";
  const settings = own.replace(
    /UserKnownHostsFile .*/,
    `UserKnownHostsFile ${oldKnownHosts}\n  Port ${port}`,
  );
  writeFileSync(oldConfig, `Host old\n${settings}\n`);
  writeFileSync(oldKnownHosts, `[${address}]:${port} ${await on("client", "cat /etc/ssh/old_key.pub")}\n`);
}

const oldFingerprint = async (): Promise<string> =>
  /SHA256:\S+/.exec((await must(["ssh-keygen", "-l", "-f", oldKnownHosts])).output)?.[0] ?? "";

const run = ["up", "--yes", "--skip-preview"];

describe("another machine in the place of a client that burned down", () => {
  const step = ladder();
  let sum = "";
  let luksUuid = "";

  step(
    "there was a disk on the old one",
    async () => {
      await prepared({ ...defaultStack, client: oldClient, disks: { kept: disk } });
      await startOldClient();
      await up();
      await mounted(disk.mount.path);
      sum = await on(
        "client",
        "head -c 20M /dev/urandom | tee /mnt/kept/data | sha256sum && sync -f /mnt/kept/data",
      );
      luksUuid = await on("client", "cryptsetup luksUUID /var/lib/netdisk/headers/kept.luks");
    },
    minutes(50),
  );

  step(
    "as long as the old one answers it is not given up",
    async () => {
      const { code, output } = await pulumi(run, { NETDISK_HOST_GONE: await oldFingerprint() });
      expect(code, output).not.toBe(0);
      expect(output).toMatch(
        /answers with its pinned key.*, and NETDISK_HOST_GONE=\S+ says that it no longer exists/,
      );
      expect(await on("client", "sha256sum </mnt/kept/data")).toBe(sum);
    },
    minutes(5),
  );

  step(
    "without a word it is not given up either, and the error has the word",
    async () => {
      await lab("reset", "client");
      expect((await tryOn("client", "test -e /etc/netdisk || test -e /var/lib/netdisk")).code).toBe(1);
      setSection("client", config.client);
      const { code, output } = await pulumi([...run, "--refresh"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain(`NETDISK_HOST_GONE=${await oldFingerprint()}`);
    },
    minutes(10),
  );

  step(
    "by the recipe it has the disk with its data",
    async () => {
      const { code, output } = await pulumi(run, { NETDISK_HOST_GONE: await oldFingerprint() });
      expect(code, output).not.toBe(0);
      expect(output).toMatch(/the disk kept is held by client since .*netdisk takeover kept/);
      await on("client", "netdisk takeover kept");
      await up();
      await mounted(disk.mount.path);
      expect(await on("client", "sha256sum </mnt/kept/data")).toBe(sum);
      expect(await on("client", "cryptsetup luksUUID /var/lib/netdisk/headers/kept.luks")).toBe(luksUuid);
      await expectNoChanges();
    },
    minutes(20),
  );
});
