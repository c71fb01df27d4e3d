/** A disk with `transport: session` through what breaks a link, its processes and its server: a pause, and nothing else. */
import { describe, expect } from "vitest";
import { faultTable } from "./harness/faults";
import { mounted, on, powerCycle, rebootServer, tryOn } from "./harness/lab";
import { startCopy } from "./harness/load";
import {
  breakages,
  longestAfterBreakage,
  name,
  path,
  type Patient,
  patientOf,
  sessionDisk,
  sshConfig,
  startSession,
} from "./harness/outage";
import { pulumi, setDisks, testdisk } from "./harness/project";
import { pause } from "./harness/run";
import { expectNoChanges, ladder, up } from "./harness/scenario";
import { startWriting } from "./harness/work";

const minutes = (n: number) => n * 60_000;

describe("an outage", () => {
  const step = ladder();
  const faults = faultTable();
  let patient: Patient | undefined;
  const ours = (): Patient => {
    if (!patient) throw new Error("no writer was started");
    return patient;
  };

  step(
    "a disk with a session comes up beside one that is forwarded, and a second up changes nothing",
    () =>
      startSession(sessionDisk, async () => {
        setDisks({ testdisk, [name]: sessionDisk });
        await up();
        await mounted(path);
        await expectNoChanges();
      }),
    minutes(20),
  );

  step("the server has no port for it, and its key opens nothing else", async () => {
    expect(await on("server", "find /etc/nbd-server -type f -exec cat {} +")).not.toContain(name);
    // nbd-server opens a port even when it serves its stdin: it must be in a network of its own.
    const listening = await on("server", "ss -Hltn | awk '{ print $4 }' | sort -u");
    expect(listening.split("\n").filter((it) => !it.endsWith(":22"))).toEqual([]);
    const shell = await tryOn("client", `ssh -F ${sshConfig} server id`);
    expect(shell.code).not.toBe(0);
    expect(shell.output).toContain(`this key serves the disk ${name} and nothing else`);
    const forward = await tryOn("client", `timeout 10 ssh -F ${sshConfig} -W 127.0.0.1:22 server </dev/null`);
    expect(forward.code).not.toBe(0);
  });

  step("another client is refused by the holder's name, and the holder notices nothing", async () => {
    const stranger = `serve 0123456789abcdef ${"ab".repeat(16)} elsewhere`;
    const { code, output } = await tryOn("client", `ssh -F ${sshConfig} server '${stranger}' </dev/null`);
    expect(code).not.toBe(0);
    expect(output).toMatch(/refused: the disk outage is held by client since 20\d\d-/);
    expect(await on("client", `netdisk status ${name} --json`)).toContain('"state":"up"');
  });

  step("the host does not go to sleep while it is attached, and the journal says why", async () => {
    const { code, output } = await tryOn("client", "systemctl start suspend.target");
    expect(code, output).not.toBe(0);
    expect(await on("client", "journalctl -u netdisk-sleep -o cat --no-pager")).toContain(
      `this host does not go to sleep while the disk ${name} is attached. systemctl stop netdisk@${name}.target detaches it.`,
    );
    await on("client", "systemctl reset-failed");
  });

  for (const seconds of [1, 10, 75]) {
    step(
      `a cut of ${seconds} s is a pause, over within 5 s`,
      async () => {
        patient ??= await patientOf(await startWriting(path));
        const stall = await faults.endure(patient, `cut of ${seconds} s`, () =>
          ours().cutWhile(() => pause(seconds)),
        );
        expect(stall).toBeLessThan(5);
      },
      minutes(3),
    );
  }

  for (const [breakage, act] of Object.entries(breakages)) {
    step(`${breakage} is a pause`, async () => {
      expect(await faults.endure(ours(), breakage, act)).toBeLessThan(longestAfterBreakage);
    });
  }

  step("a clean reboot of the server is a pause", async () => {
    expect(await faults.endure(ours(), "reboot of the server", rebootServer)).toBeLessThan(60);
  });

  step(
    "a power cut of the server under load loses nothing that was fsync'd",
    async () => {
      const copy = await startCopy(`${path}/data`, 60);
      await pause(3);
      await faults.endure(ours(), "power cut of the server", () => powerCycle("server"));
      await copy.verify();
    },
    minutes(5),
  );

  step("every acknowledged record is there", () => ours().conclude());

  step(
    "destroy detaches it, with nothing left over",
    async () => {
      const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
      expect(code, output).toBe(0);
      expect(await on("client", "ls /etc/systemd/system | grep netdisk || test $? = 1")).toBe("");
      expect(await on("client", "cat /sys/block/nbd*/size | sort -u")).toBe("0");
      expect(await on("client", "ls /run/netdisk /usr/local/lib/netdisk /usr/local/sbin")).not.toMatch(
        /outage|plugin|helper|netdisk$/m,
      );
      expect(await on("server", "ls /etc/systemd/system | grep netdisk || test $? = 1")).toBe("");
      expect(await on("server", `head -n 1 /var/lib/netdisk/lease/${name}`)).toBe("free");
      await on("server", `test -s /var/lib/netdisk/${name}.img`);
    },
    minutes(5),
  );
});
