/**
 * The client shuts down under load while its server is dead or the link is cut: within 90 s each time, with all that was
 * fsync'd safe, and what was given up unwritten is said in the journal and at the next start. NETDISK_SHUTDOWNS
 * (default 20): poweroff and reboot, server off and link cut, in turn. And while a unit is still starting. With the server
 * there it loses nothing, whoever has stopped the session before.
 */
import { describe, expect } from "vitest";
import { faultTable, times, wished } from "./harness/faults";
import { lab, mounted, on, shutDown, tryOn } from "./harness/lab";
import { name, path, startSession } from "./harness/outage";
import { pause, until } from "./harness/run";
import { ladder } from "./harness/scenario";
import { startWork } from "./harness/work";

const minutes = (n: number) => n * 60_000;
const shutdowns = wished("NETDISK_SHUTDOWNS", 20);
const limit = 90;

const deaths = {
  "the server is off": { begin: ["power", "cut", "server"], end: ["power", "on", "server"] },
  "the link is cut": { begin: ["link", "cut"], end: ["link", "heal"] },
};
const ways = Object.entries(deaths).flatMap(([what, death]) =>
  (["poweroff", "reboot"] as const).map((verb) => ({ what, death, verb })),
);

/** What of a unit's start waits for the server, deaf to signals, and how it gets that far while the link is cut. */
const startings = {
  open: { program: "dd", prepare: "true" },
  // What blkid reads first stays in the page cache for as long as somebody has the device open.
  mount: {
    program: "mount",
    prepare: `systemd-run --quiet --property=StandardInput=file:/dev/mapper/${name} sleep infinity && blkid -p /dev/mapper/${name}`,
  },
};

const givenUp = /outage was given up on 20\S+ \(shutdown, the server is out of reach\)/;

/** Of the boot before and of this one. */
const journal = (boot: -1 | 0, unit = "*") =>
  on("client", `journalctl --boot ${boot} --unit 'netdisk-${unit}@${name}*' --output cat --no-pager`);

/** What stops a disk whose session somebody has stopped by hand, with its server there. */
const stops = {
  reboot: async () => {
    await shutDown("client", "reboot", limit);
    await mounted(path);
    const before = await journal(-1);
    // At its start that boot tells of what the one before it gave up.
    expect(before.slice(before.indexOf("is stopped under the attached"))).not.toMatch(/was given up/);
    return before;
  },
  "a stop by hand": async () => {
    await on("client", `timeout ${limit} systemctl stop netdisk@${name}.target`);
    expect(await tryOn("client", `systemctl is-active netdisk-session@${name}`)).toMatchObject({
      output: "inactive\n",
    });
    await on("client", `systemctl start netdisk@${name}.target`);
    return journal(0);
  },
};

describe("the client shuts down without its server", () => {
  const step = ladder();
  const faults = faultTable();
  let lost = 0;
  let slowest = 0;

  async function once(number: number): Promise<number> {
    const { what, death, verb } = ways[number % ways.length]!;
    const work = await startWork(path, number);
    await pause(Math.random() * 8);
    await lab(...death.begin);
    await pause(Math.random() * 5);
    const seconds = await shutDown("client", verb, limit);
    slowest = Math.max(slowest, seconds);
    await work.gone;
    await Promise.all([lab(...death.end), lab("power", "on", "client")]);
    const repaired = Date.now();
    await mounted(path);
    const wait = (Date.now() - repaired) / 1000;
    lost += await work.lost();
    console.log(
      `${verb} ${number}, ${what}: ${seconds.toFixed(1)} s, ${lost} lost, mounted after ${wait.toFixed(1)} s`,
    );
    expect(lost).toBe(0);
    expect(await journal(-1)).toMatch(givenUp);
    expect(await journal(0, "session")).toContain("the disk was given up on 20");
    return wait;
  }

  step("a disk with a session comes up", () => startSession(), minutes(20));

  step(
    `${shutdowns} shutdowns end within ${limit} s`,
    async () => {
      await faults.repeat("shutdown without the server", times(shutdowns), once, async () => lost);
      console.log(`the slowest shutdown took ${slowest.toFixed(1)} s`);
    },
    minutes(5 + 5 * shutdowns),
  );

  step(
    "a boot does not wait for a server that is out of reach, and the disk is there soon after it is",
    async () => {
      await lab("link", "cut");
      await shutDown("client", "reboot", limit);
      await until("the client is there", 120, async () => (await tryOn("client", "true")).code === 0);
      await until("its boot is over", 60, async () =>
        (await tryOn("client", "systemctl is-active multi-user.target")).output.startsWith("active"),
      );
      expect((await tryOn("client", `findmnt ${path}`)).code).not.toBe(0);
      // What waits for the disk is not what a boot waits for.
      expect(await on("client", "systemctl list-jobs --no-legend | grep -v netdisk || true")).toBe("");
      await lab("link", "heal");
      await mounted(path);
    },
    minutes(10),
  );

  for (const [unit, { program, prepare }] of Object.entries(startings))
    step(
      `one ends within ${limit} s while ${unit} is still starting`,
      async () => {
        await on("client", `systemctl stop netdisk-${unit}@${name} && ${prepare}`);
        await lab("link", "cut");
        await on("client", `systemctl --no-block start netdisk-mount@${name}`);
        await until(`${program} waits for the server`, 30, async () =>
          /^D/m.test((await tryOn("client", `ps -C ${program} -o stat=`)).output),
        );
        const seconds = await shutDown("client", "reboot", limit);
        await lab("link", "heal");
        await mounted(path);
        console.log(`reboot while ${unit} was starting: ${seconds.toFixed(1)} s`);
        expect(await journal(-1, unit)).toMatch(/process \d+ \(.+\) still waits for the server/);
        expect(await journal(-1)).toMatch(givenUp);
      },
      minutes(10),
    );

  step(
    `one ends within ${limit} s where the file system is mounted a second time`,
    async () => {
      await on("client", `mkdir -p /mnt/second && mount --bind ${path} /mnt/second`);
      await on("client", `head -c 20M /dev/urandom >${path}/unsafe`);
      await lab("link", "cut");
      const seconds = await shutDown("client", "reboot", limit);
      await lab("link", "heal");
      await mounted(path);
      console.log(`reboot with a second mount: ${seconds.toFixed(1)} s`);
      expect(await journal(-1)).toMatch(givenUp);
    },
    minutes(10),
  );

  step(
    `one ends within ${limit} s while a service that is ordered after the mount waits for the server`,
    async () => {
      const mount = `netdisk-mount@${name}.service`;
      const write = `dd if=/dev/urandom of=${path}/user bs=1M count=1 conv=fsync status=none`;
      await on(
        "client",
        `printf '%s\\n' '[Unit]' 'Requires=${mount}' 'After=${mount}' '[Service]' "ExecStart=/bin/sh -c 'while ${write}; do sleep 0.1; done'" >/etc/systemd/system/user-of-disk.service && systemctl daemon-reload && systemctl start user-of-disk`,
      );
      await lab("link", "cut");
      await until("dd waits for the server", 30, async () =>
        /^D/m.test((await tryOn("client", "ps -C dd -o stat=")).output),
      );
      const seconds = await shutDown("client", "reboot", limit);
      await lab("link", "heal");
      await mounted(path);
      console.log(`reboot with a service after the mount: ${seconds.toFixed(1)} s`);
      expect(await journal(-1, "down")).toMatch(givenUp);
      await on("client", "rm /etc/systemd/system/user-of-disk.service && systemctl daemon-reload");
    },
    minutes(10),
  );

  for (const [what, stop] of Object.entries(stops))
    step(
      `${what} has what waits written though the session was stopped by hand`,
      async () => {
        const sum = await on("client", `head -c 20M /dev/urandom | tee ${path}/late | sha256sum`);
        await on("client", `systemctl stop netdisk-session@${name}`);
        expect(await stop()).toMatch(/is stopped under the attached .*: started for what is not safe/);
        expect(await on("client", `sha256sum <${path}/late`)).toBe(sum);
      },
      minutes(10),
    );
});
