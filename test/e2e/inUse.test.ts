/** A disk that somebody uses is not taken away by a run of Pulumi, and loses nothing when it is stopped by hand. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { mounted, on, tryOn } from "./harness/lab";
import { pulumi, stackFile } from "./harness/project";
import { expectNoChanges, startMounted, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const target = "netdisk@testdisk.target";

/** A service of the client that uses the disk; returns its process id. */
async function user(command: string): Promise<string> {
  await on("client", `systemd-run --quiet --unit=user ${command} && sleep 1`);
  return on("client", "systemctl show --property=MainPID --value user");
}

/** Bytes that the page cache holds and the server does not have yet. */
async function dirty(): Promise<string> {
  return on("client", "head -c 20000000 /dev/urandom >/mnt/disk/dirty && sha256sum /mnt/disk/dirty");
}

const elsewhere = "unshare --mount sleep 1000";
const uses: [string, string, RegExp][] = [
  ["a mount in another namespace", elsewhere, /process PID \(sleep\) has it mounted at \/mnt\/disk/],
  ["an open file", "sh -c 'exec sleep 1000 >/mnt/disk/log'", /process PID \(sleep\) has a file/],
  [
    "a bind mount",
    "sh -c 'mkdir -p /mnt/bind && mount --bind /mnt/disk /mnt/bind && sleep 1000'",
    /mounted at \/mnt\/bind/,
  ],
];

beforeAll(startMounted, minutes(15));

afterEach(async () => {
  await tryOn("client", "systemctl stop user; umount /mnt/bind");
});

describe("pulumi destroy", () => {
  it.each(uses)(
    "refuses a disk with %s, and leaves it as it was",
    async (_, command, named) => {
      const pid = await user(command);
      const sum = await dirty();
      const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain("the disk testdisk is in use, and left as it was:");
      expect(output).toMatch(new RegExp(named.source.replace("PID", pid)));
      await on("client", "mountpoint /mnt/disk && systemctl is-active netdisk-mount@testdisk.service");
      expect(await on("client", "sha256sum /mnt/disk/dirty")).toBe(sum);
      await tryOn("client", "systemctl stop user; umount /mnt/bind");
      await expectNoChanges();
    },
    minutes(3),
  );
});

describe("another way to the server", () => {
  it(
    "waits for the users of the disk, then loses nothing",
    async () => {
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
      expect(
        (
          await tryOn(
            "client",
            "journalctl --dmesg --boot | grep -E 'error.*(WRITE|FLUSH|dm-)|XFS.*([Ee]rror|[Ss]hut)'",
          )
        ).output,
      ).toBe("");
      await expectNoChanges();
    },
    minutes(5),
  );
});

it(
  "a stop by hand that gives up on somebody else's mount has written all out before, and says so",
  async () => {
    await user(elsewhere);
    const sum = await dirty();
    await on("client", `systemctl stop ${target}`);
    expect(await on("client", "journalctl --boot --unit netdisk-open@testdisk")).toContain("is flushed");
    await on("client", `systemctl stop user; systemctl start ${target}`);
    expect(await on("client", "sha256sum /mnt/disk/dirty")).toBe(sum);
  },
  minutes(3),
);

describe.each(["flush", "sync"])("%s switched off by hand, with a connection that began so", (setting) => {
  it(
    "is named, and is not in force any more after an up",
    async () => {
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
      expect(
        await on(
          "client",
          'cat "/sys/block/$(basename "$(readlink /dev/netdisk/testdisk)")/queue/write_cache"',
        ),
      ).toBe("write back");
      await expectNoChanges();
    },
    minutes(5),
  );
});
