/**
 * Power cuts of the client under load, and of both hosts at once, at random moments: a disk with `transport: session`
 * mounts by itself each time, and what was fsync'd is there. NETDISK_CLIENT_CUTS (default 50), NETDISK_BOTH_CUTS (10).
 */
import { describe, expect } from "vitest";
import { faultTable, times, wished } from "./harness/faults";
import { type HostName, mounted, powerCycle } from "./harness/lab";
import { kernelDamage, path, startSession } from "./harness/outage";
import { pause } from "./harness/run";
import { ladder } from "./harness/scenario";
import { startWork, type Work } from "./harness/work";

const minutes = (n: number) => n * 60_000;
const clientCuts = wished("NETDISK_CLIENT_CUTS", 50);
const bothCuts = wished("NETDISK_BOTH_CUTS", 10);

describe("the client loses its power", () => {
  const step = ladder();
  const faults = faultTable();
  const works: Work[] = [];
  let lost = 0;

  /** One cut, and the seconds from the boot until the disk is mounted. */
  async function cut(victims: HostName[]): Promise<number> {
    const work = await startWork(path, works.length + 1);
    works.push(work);
    await pause(Math.random() * 8);
    await powerCycle(...victims);
    const booted = Date.now();
    await mounted(path);
    const wait = (Date.now() - booted) / 1000;
    // The last that was acknowledged may still be on its way to us.
    await work.gone;
    lost += await work.lost();
    console.log(
      `power cut of ${victims.join(" and ")}: ${work.writer.acknowledged()} acknowledged, ${lost} lost, mounted after ${wait.toFixed(1)} s`,
    );
    expect(lost).toBe(0);
    expect(await kernelDamage()).toEqual([]);
    return wait;
  }

  const repeat = (fault: string, count: number, victims: HostName[]): Promise<number> =>
    faults.repeat(
      fault,
      times(count),
      () => cut(victims),
      async () => lost,
    );

  step("a disk with a session comes up", () => startSession(), minutes(20));

  step(
    `${clientCuts} cuts: it mounts each time, and all that was fsync'd is there`,
    () => repeat("power cut of the client", clientCuts, ["client"]),
    minutes(5 + 3 * clientCuts),
  );

  step(
    `${bothCuts} cuts of both hosts at once`,
    () => repeat("power cut of both hosts", bothCuts, ["client", "server"]),
    minutes(5 + 4 * bothCuts),
  );

  step(
    "all records of all boots are still there",
    async () => {
      for (const work of works) expect(await work.lostRecords()).toBe(0);
    },
    minutes(10),
  );
});
