/**
 * Power cuts of a server whose disk loses its cache with them (harness/volatile.ts): NETDISK_VOLATILE_CUTS of them
 * (default 50), each of which cost the cache data, lose nothing that was fsync'd on a disk with `transport: session`. The controls show that the same cuts do
 * harm where something is missing. Without the session as a whole the disk dies, and its users are told errors; without the
 * client's copies of what was not flushed, what was fsync'd is lost and nobody is told.
 * NETDISK_VOLATILE_CONTROLS cuts at most for each (default 5).
 */
import { describe, expect } from "vitest";
import { faultTable, type Outcome, wished } from "./harness/faults";
import { mounted, on } from "./harness/lab";
import { name, path, patientOf, sessionDisk, startSession } from "./harness/outage";
import { type Disk, setDisks } from "./harness/project";
import { pause } from "./harness/run";
import { ladder, up } from "./harness/scenario";
import { cutPowerAndCache, installVolatileDisk, volatilePath } from "./harness/volatile";
import { startWork, type Work } from "./harness/work";
import { goesOn } from "./harness/writer";

const minutes = (n: number) => n * 60_000;
const cuts = wished("NETDISK_VOLATILE_CUTS", 50);
const controls = wished("NETDISK_VOLATILE_CONTROLS", 5);

/** Bytes. Less is what the server's own file system notes of itself. */
const worthwhile = 64 * 1024;

const onVolatile = (disk: Disk, file: string): Disk => ({
  ...disk,
  file: { size: "320 MiB", path: `${volatilePath}/${file}.img` },
});
const session = onVolatile(sessionDisk, name);
const forwarded = onVolatile(
  { mount: { path: "/mnt/forwarded" }, export: { sync: false }, transport: "forward" },
  "forwarded",
);

describe("a server whose disk has a volatile cache loses its power", () => {
  const step = ladder();
  const faults = faultTable();
  let dropped = 0;
  let worth = 0;

  async function cut(): Promise<void> {
    await pause(Math.random() * 6);
    const bytes = await cutPowerAndCache();
    console.log(`the cache lost ${bytes} bytes`);
    dropped += bytes;
    if (bytes >= worthwhile) worth++;
  }

  /** Cuts until one has done harm, which is an error that a program was told, or a loss. */
  async function control(
    fault: string,
    where: string,
    recovered: (work: Work) => Promise<unknown>,
  ): Promise<Outcome> {
    const outcome: Outcome = { count: 0, errors: 0, lost: 0, longest: 0 };
    while (outcome.count < controls && outcome.errors + outcome.lost === 0) {
      const work = await startWork(where, 10 + ++outcome.count);
      await cut();
      const repaired = Date.now();
      await recovered(work);
      outcome.longest = Math.max(outcome.longest, (Date.now() - repaired) / 1000);
      // A round of the load, which reads what it has written.
      await pause(20);
      await work.stop();
      outcome.lost = await work.lost();
      console.log(`${fault} ${outcome.count}: ${outcome.lost} lost, ${work.failure() ?? "no error"}`);
      if (work.failure() !== undefined && outcome.lost === 0) outcome.errors++;
    }
    faults.show(`control: ${fault}`, outcome);
    return outcome;
  }

  step(
    "a disk with a session lies on it, with a load on it",
    () => startSession(session, installVolatileDisk),
    minutes(30),
  );

  step(
    `${cuts} cuts that cost the cache data lose nothing that was fsync'd`,
    async () => {
      const work = await startWork(path);
      const patient = await patientOf(work);
      await faults.endure(
        patient,
        "power cut of the server and its disk's cache",
        cut,
        (count) => worth < cuts && count < 2 * cuts,
      );
      await patient.conclude();
      console.log(`the cache lost ${dropped} bytes, in ${worth} cuts data`);
      expect(worth).toBe(cuts);
    },
    minutes(10 + 3 * cuts),
  );

  step(
    "control: the same cuts do harm to a disk that is forwarded and whose export is without sync",
    async () => {
      setDisks({ [name]: session, forwarded });
      await up();
      const { errors, lost } = await control("forward without sync", "/mnt/forwarded", () =>
        mounted("/mnt/forwarded"),
      );
      expect(errors + lost).toBeGreaterThan(0);
    },
    minutes(15 + 5 * controls),
  );

  step(
    "control: the same cuts lose what was fsync'd where the session keeps no copies",
    async () => {
      const target = `netdisk@${name}.target`;
      const script = `/usr/local/lib/netdisk/session@${name}`;
      await on(
        "client",
        `systemctl stop ${target} && sed -i 's/^retain=.*/retain=0/' ${script} && systemctl start ${target}`,
      );
      expect(await on("client", `pgrep -af nbdkit`)).toContain("retain=0");
      const { lost } = await control("session without retention", path, (work) => goesOn(work.writer, 90));
      expect(lost).toBeGreaterThan(0);
    },
    minutes(10 + 5 * controls),
  );
});
