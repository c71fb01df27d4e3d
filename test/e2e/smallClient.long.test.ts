/**
 * A client of 256 MiB through a cut of NETDISK_SMALL_CLIENT_MINUTES (default 10) under load: nobody is killed for memory,
 * its own disk can be written to all the while, and the disk goes on within 10 s of the link's return.
 */
import { describe, expect } from "vitest";
import { faultTable, times, wished } from "./harness/faults";
import { mounted, on, restartClient, tryOn } from "./harness/lab";
import { path, patientOf, startSession } from "./harness/outage";
import { pause } from "./harness/run";
import { ladder } from "./harness/scenario";
import { startWork } from "./harness/work";

const minutes = (n: number) => n * 60_000;
const cut = wished("NETDISK_SMALL_CLIENT_MINUTES", 10);

/** Seconds that 16 MiB of the client's own disk take, fsync included. */
async function localWrite(): Promise<number> {
  const begun = Date.now();
  await on(
    "client",
    "timeout 60 dd if=/dev/zero of=/root/local bs=1M count=16 conv=notrunc,fsync status=none",
  );
  return (Date.now() - begun) / 1000;
}

describe("a client with 256 MiB of memory", () => {
  const step = ladder();
  const faults = faultTable();
  let slowest = 0;

  step(
    "has a disk with a session",
    async () => {
      await startSession();
      await restartClient("256M");
      await mounted(path);
      const memory = Number(await on("client", "awk '/^MemTotal/ { print $2 }' /proc/meminfo"));
      expect(memory).toBeLessThan(256 * 1024);
    },
    minutes(25),
  );

  step(
    `rides out a cut of ${cut} minutes`,
    async () => {
      const work = await startWork(path);
      const patient = await patientOf(work);
      await pause(10);
      await faults.repeat(
        `cut of ${cut} min, client with 256 MiB`,
        times(1),
        async () => {
          const longCut = async () => {
            // What a program writes without fsync fills the memory that may wait for a disk.
            await on(
              "client",
              `systemd-run --collect --unit=filler dd if=/dev/zero of=${path}/filler bs=1M count=100`,
            );
            const end = Date.now() + minutes(cut);
            while (Date.now() < end) {
              slowest = Math.max(slowest, await localWrite());
              await pause(10);
            }
          };
          const stall = await patient.survives("cut", () => patient.cutWhile(longCut));
          expect(stall).toBeLessThan(10);
          return stall;
        },
        () => patient.lost(),
      );
      console.log(`the slowest 16 MiB on the client's own disk took ${slowest.toFixed(1)} s`);
      expect(slowest).toBeLessThan(10);
      await patient.conclude();
      expect(
        (
          await tryOn(
            "client",
            "journalctl --dmesg --boot --quiet | grep -iE 'out of memory|oom-kill|invoked oom'",
          )
        ).output,
      ).toBe("");
    },
    minutes(cut + 10),
  );
});
