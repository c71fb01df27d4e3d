/** A disk that somebody uses is not taken away by a run of Pulumi, and loses nothing when it is stopped by hand. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { takeDown } from "../../../provider/resources/takeDown";
import { mounted, on, tryOn } from "./lab";
import { pulumi, stackFile } from "./project";
import { until } from "./run";
import { expectNoChanges, up } from "./scenario";

const target = "netdisk@testdisk.target";

/** A service of the client that uses the disk; returns its process id. */
async function user(command: string): Promise<string> {
  await on("client", `systemd-run --quiet --unit=user ${command} && sleep 1`);
  return on("client", "systemctl show --property=MainPID --value user");
}

/** After each test, whatever became of it. */
export const endUsers = () => tryOn("client", "systemctl stop user; umount /mnt/bind");

/** Bytes that the page cache holds and the server does not have yet. */
async function dirty(): Promise<string> {
  return on("client", "head -c 20000000 /dev/urandom >/mnt/disk/dirty && sha256sum /mnt/disk/dirty");
}

const elsewhere = "unshare --mount sleep 1000";

/** Command of the user, and how the refusal names it. */
const uses = {
  "a mount in another namespace": [elsewhere, /process PID \(sleep\) has it mounted at \/mnt\/disk/],
  "an open file": ["sh -c 'exec sleep 1000 >/mnt/disk/log'", /process PID \(sleep\) has a file/],
  "a bind mount": [
    "sh -c 'mkdir -p /mnt/bind && mount --bind /mnt/disk /mnt/bind && sleep 1000'",
    /mounted at \/mnt\/bind/,
  ],
} as const;

/** `pulumi destroy` names the user, and everything is as it was. */
export async function destroyRefuses(use: keyof typeof uses): Promise<void> {
  const [command, named] = uses[use];
  const pid = await user(command);
  const sum = await dirty();
  const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(code, output).not.toBe(0);
  expect(output).toContain("the disk testdisk is in use, and left as it was:");
  expect(output).toMatch(new RegExp(named.source.replace("PID", pid)));
  await on("client", "mountpoint /mnt/disk && systemctl is-active netdisk-mount@testdisk.service");
  expect(await on("client", "sha256sum /mnt/disk/dirty")).toBe(sum);
  await endUsers();
  await expectNoChanges();
}

/**
 * What a run carries out on the client, at the moment when the server is silent and nobody knows it yet: a run's own look at
 * the disk would have told. `umount` ends well here, with the 20 MB lost.
 */
export async function silentServerRefuses(): Promise<void> {
  await dirty();
  await on("server", "systemctl kill --signal=STOP nbd-server");
  try {
    const { code, output } = await tryOn("client", takeDown("testdisk").text);
    expect(code, output).toBe(75);
    expect(output).toMatch(/the disk testdisk cannot be taken down now: .* not on the server yet/);
    expect(output).toContain("systemctl stop netdisk@testdisk.target on this host");
  } finally {
    await on("server", "systemctl kill --signal=CONT nbd-server");
  }
  await mounted();
  await expectNoChanges();
}

/** A changed endpoint of the server needs the whole chain down: refused while somebody writes, done afterwards. */
export async function anotherWayWaits(): Promise<void> {
  await on("server", "mkdir -p /run/sshd && /usr/sbin/sshd -p 2222");
  writeFileSync(stackFile, readFileSync(stackFile, "utf8").replace("10.77.0.2:22", "10.77.0.2:2222"));
  await user("sh -c 'exec >>/mnt/disk/log; while sleep 0.1; do echo line; sync -d /mnt/disk/log; done'");
  const refused = await pulumi(["up", "--yes", "--skip-preview"]);
  expect(refused.code, refused.output).not.toBe(0);
  expect(refused.output).toContain("in use");
  await on("client", "systemctl is-active user && systemctl stop user");
  const sum = await dirty();
  await up();
  await mounted();
  expect(await on("client", "pgrep --full --list-full testdisk/nbd.sock")).toContain("-p 2222");
  expect(await on("client", "sha256sum /mnt/disk/dirty")).toBe(sum);
  // Somebody who reads a device's first block as it goes (udev) is told so, too: that is nobody's data.
  const errors = "journalctl --dmesg --boot | grep -E 'error.*(WRITE|FLUSH|dm-)|XFS.*([Ee]rror|[Ss]hut)'";
  expect((await tryOn("client", errors)).output).toBe("");
  await expectNoChanges();
}

/** `systemctl stop` gives up on a mount of somebody else, but not before all is written out. */
export async function stopByHandFlushes(): Promise<void> {
  await user(elsewhere);
  const sum = await dirty();
  await on("client", `systemctl stop ${target}`);
  expect(await on("client", "journalctl --boot --unit netdisk-open@testdisk")).toContain("is flushed");
  await on("client", `systemctl stop user; systemctl start ${target}`);
  expect(await on("client", "sha256sum /mnt/disk/dirty")).toBe(sum);
}

/** A service on the disk, as docs/commands.md has it: stopped before the disk is unmounted, and started with it. */
export async function serviceStopsFirst(): Promise<void> {
  const file = "/etc/systemd/system/gallery.service";
  const unit = `[Unit]
Requires=netdisk-mount@testdisk.service
After=netdisk-mount@testdisk.service

[Service]
ExecStart=/bin/sh -c 'exec sleep 1000 >/mnt/disk/log'

[Install]
WantedBy=${target}
`;
  const isActive = async () => (await tryOn("client", "systemctl is-active gallery")).output.trim();
  await on("client", `cat >${file} && systemctl daemon-reload && systemctl enable --now gallery`, unit);
  try {
    const begun = await on("client", "date +%s");
    await on("client", `systemctl stop ${target}`);
    expect(await isActive()).toBe("inactive");
    const journal = `journalctl --boot --since @${begun} --unit netdisk-mount@testdisk --unit netdisk-open@testdisk`;
    expect(await on("client", journal)).not.toMatch(/in use|busy/);
    await on("client", `systemctl start ${target}`);
    await until("the service is back", 10, async () => (await isActive()) === "active");
    await mounted();
  } finally {
    await on("client", `systemctl disable --now gallery; rm ${file}; systemctl daemon-reload`);
  }
}

/** The export loses the setting while a connection is made that keeps living without it. */
export async function weakSessionEnds(setting: "flush" | "sync"): Promise<void> {
  const before = await on("client", "cat /sys/block/nbd*/pid");
  await on(
    "server",
    `sed -i 's/${setting} = true/${setting} = false/' /etc/nbd-server/conf.d/testdisk.conf && systemctl restart nbd-server`,
  );
  await on(
    "client",
    '/opt/nbd/sbin/nbd-client -d "$(readlink -f /dev/netdisk/testdisk)" -nonetlink; sleep 10',
  );
  // One without flush is not even accepted.
  expect((await tryOn("client", "mountpoint /mnt/disk")).code === 0).toBe(setting === "sync");
  const { output } = await pulumi(["preview"]);
  expect(output).toMatch(new RegExp(`netdisk:index:Export .*${setting}`));
  expect(output).toMatch(/netdisk:index:Attachment .*revision/);
  const wrong = await tryOn("client", "cat /sys/block/nbd*/pid");
  await up();
  await mounted();
  const after = await on("client", "cat /sys/block/nbd*/pid");
  expect([before, wrong.stdout.toString().trim()]).not.toContain(after);
  const writeCache = 'cat "/sys/block/$(basename "$(readlink /dev/netdisk/testdisk)")/queue/write_cache"';
  expect(await on("client", writeCache)).toBe("write back");
  await expectNoChanges();
}
