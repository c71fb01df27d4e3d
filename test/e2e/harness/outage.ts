/** A disk of the default transport, work on it, and what counts in an outage. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { complaintsIn, kernelLogAfter, kernelLogEnd } from "./kernelLog";
import { lab, mounted, on, tryOn } from "./lab";
import { type Disk, setDisks } from "./project";
import { pause } from "./run";
import { startMounted, up } from "./scenario";
import { installStamps } from "./stamps";
import type { Work } from "./work";
import { goesOn } from "./writer";

export const name = "outage";
export const path = `/mnt/${name}`;
export const sshConfig = `/etc/netdisk/tunnel/${name}.ssh_config`;
export const sessionDisk: Disk = { file: { size: "512 MiB" }, mount: { path } };

/** What the kernel says of a disk that was told an error, in a boot whose log has much else. */
const damage = `journalctl --dmesg --boot --quiet --output cat | grep -E 'I/O error|Shutting down|orruption|blocked .*for more than' |
  grep -wE "blocked|$(basename "$(readlink -f /dev/netdisk/${name})")|$(basename "$(readlink -f /dev/mapper/${name})")"`;

/** What of it the client's kernel has said since its boot. */
export const kernelDamage = async (): Promise<string[]> =>
  (await tryOn("client", damage)).output.split("\n").filter((line) => line !== "");

/** Seconds after which nothing is on its way any more that was sent before a cut. */
const settled = 2;

const pluginProcess = (): Promise<string> =>
  on("client", `systemctl show -P MainPID netdisk-session@${name}`);

export interface Patient {
  /** Does harm, ends it, and waits until all goes on; prints and returns the seconds from the repair until it does. */
  survives(fault: string, harm: () => Promise<unknown>): Promise<number>;
  /** The link is cut for as long as this lasts; throws where it was not, because records of the writer became safe. */
  cutWhile(act: () => Promise<unknown>): Promise<void>;
  /** What the work or the kernel was told. */
  errors(): Promise<string[]>;
  /** What was acknowledged and is not on the disk. */
  lost(): Promise<number>;
  /** Ends the work; all that was acknowledged is there. */
  conclude(): Promise<void>;
}

/** A long, thin link; `loss`: the share of packets that it loses each way, `5%`. */
export const shapeLink = (...loss: string[]): Promise<unknown> =>
  lab("link", "shape", "80mbit", "15ms", ...loss);

/**
 * The disk, mounted, and a long, thin link. It takes the place of the one that the hosts had, so that all that the kernel
 * says is of it. `prepare` is done before it is made.
 */
export async function startSession(
  disk: Disk = sessionDisk,
  prepare = async (): Promise<unknown> => undefined,
): Promise<void> {
  await startMounted();
  await prepare();
  setDisks({ [name]: disk });
  await up();
  await mounted(path);
  await installStamps();
  await shapeLink();
}

/** The kernel has done another read or write of the disk. */
const ioFlows = (): Promise<string> =>
  on(
    "client",
    `stat=/sys/block/$(basename "$(readlink -f /dev/netdisk/${name})")/stat
done=$(awk '{ print $1 + $5 }' $stat)
until [ "$(awk '{ print $1 + $5 }' $stat)" != "$done" ]; do sleep 0.05; done`,
  );

/**
 * Work that must notice an outage as a pause, and nothing else. From now on the kernel says only what is allowed, too.
 *
 * @param measured What a stall lasts until: the writer's next record, or any request of the disk. Beside a load a record
 *   always waits for some 2 s behind what is queued before it, link or no link (docs/session.md, "Beside a bulk write").
 */
export async function patientOf(
  work: Work,
  measured: "a record" | "any request" = "a record",
): Promise<Patient> {
  let logEnd = await kernelLogEnd();
  let plugin = await pluginProcess();
  const complaints: string[] = [];
  const listen = async (broken: boolean): Promise<void> => {
    const { log, end } = await kernelLogAfter(logEnd);
    complaints.push(...complaintsIn(log, broken));
    logEnd = end;
  };
  /** A plugin that has died by itself is told, too: its successor would hide it. */
  const look = async (fault = ""): Promise<void> => {
    await listen(endsConnection.some((breakage) => fault.startsWith(breakage)));
    const now = await pluginProcess();
    if (now !== plugin && !fault.startsWith(killOfPlugin))
      complaints.push(`the plugin ${plugin} is ${now} now`);
    plugin = now;
  };
  const errors = async (): Promise<string[]> => {
    await look();
    const failure = work.failure();
    return [...(failure === undefined ? [] : [failure]), ...complaints];
  };
  const unharmed = async (): Promise<void> => expect(await errors()).toEqual([]);
  return {
    errors,
    lost: () => work.lost(),
    async survives(fault, harm) {
      await harm();
      const repaired = Date.now();
      const since = () => (Date.now() - repaired) / 1000;
      const flows = measured === "any request" ? ioFlows().then(since) : undefined;
      await goesOn(work.writer, 90);
      const record = since();
      const stall = (await flows) ?? record;
      await look(fault);
      await unharmed();
      const first = flows === undefined ? "" : `a request after ${stall.toFixed(1)} s, `;
      console.log(`${fault}: ${first}goes on after ${record.toFixed(1)} s`);
      return stall;
    },
    async cutWhile(act) {
      await lab("link", "cut");
      const begun = Date.now();
      const soon = pause(settled).then(() => work.writer.acknowledged());
      let lasted: number | undefined;
      try {
        await act();
        if (Date.now() - begun > settled * 1000) lasted = work.writer.acknowledged();
      } finally {
        await lab("link", "heal");
      }
      if (lasted !== undefined)
        expect(lasted - (await soon), "records that became safe over a link that is cut").toBeLessThanOrEqual(
          1,
        );
    },
    async conclude() {
      // All of them are alive, not only the one that was waited for.
      for (const user of work.users) await goesOn(user, 120);
      await work.stop();
      await unharmed();
      expect(await work.lost()).toBe(0);
    },
  };
}

/** What the plugin says of itself. */
export interface Status {
  state: string;
  kind: string;
  reason: string;
  waiting: number;
  sessions: number;
}

/** `command`: how the disk's host is asked, where it is not the client as it is. */
export async function status(
  disk: string = name,
  command: (line: string) => Promise<string> = (line) => on("client", line),
): Promise<Status> {
  const [found] = JSON.parse(await command(`netdisk status ${disk} --json`)) as Status[];
  if (!found) throw new Error(`netdisk knows no disk ${disk}`);
  return found;
}

const hangUp = readFileSync(join(__dirname, "hangUp.pl"), "utf8");

/**
 * Seconds, after a cut that lasted so many. TCP repeats what was lost after twice the time each time: after a cut of 3 to
 * 6 s the next repeat may come later than ssh's end, 8 s from the cut's beginning, and then the new session has 3 s.
 */
export const longestAfterCut = (seconds: number): number => (seconds > 3 && seconds < 6 ? 11 - seconds : 5);

/**
 * Seconds. What a dead plugin or connection left behind is sent again when the kernel next looks after it, an io_timeout
 * (10 s) after the new connection at the latest.
 */
export const longestAfterBreakage = 20;

const killOfPlugin = "SIGKILL of the plugin";
const hangUpOfKernel = "end of the kernel's connection to the plugin";

/** After these alone the kernel may speak of a connection. */
const endsConnection: readonly string[] = [killOfPlugin, hangUpOfKernel];

/** What is on the way is broken, piece by piece. */
export const breakages: Record<string, () => Promise<unknown>> = {
  "SIGKILL of ssh": () =>
    on("client", `kill -KILL $(pgrep -x -P $(systemctl show -P MainPID netdisk-session@${name}) ssh)`),
  "SIGKILL of nbd-server": () =>
    on("server", `kill -KILL $(pgrep -f '^nbd-server -d -C /etc/netdisk/serve/${name}.conf')`),
  [killOfPlugin]: () => on("client", `kill -KILL $(systemctl show -P MainPID netdisk-session@${name})`),
  [hangUpOfKernel]: () =>
    on(
      "client",
      `perl - $(systemctl show -P MainPID netdisk-session@${name}) /run/netdisk/${name}/nbd.sock`,
      hangUp,
    ),
};
