/**
 * Outages by the dozen: a disk with `transport: session` under random cuts, kills and power cuts of its server, with a
 * writer and a load on it. NETDISK_ENDURANCE_MINUTES (default 10) of cuts, NETDISK_ENDURANCE_POWER_CUTS (default 50).
 */
import { describe, expect } from "vitest";
import { faultTable } from "./harness/faultTable";
import { lab, on, powerCycle, startOn } from "./harness/lab";
import { kills, path, type Patient, startPatient, startSession } from "./harness/outage";
import { pause } from "./harness/run";
import { ladder } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const wished = (variable: string, usual: number): number => Number(process.env[variable] ?? usual);
const cutting = wished("NETDISK_ENDURANCE_MINUTES", 10);
const powerCuts = wished("NETDISK_ENDURANCE_POWER_CUTS", 50);

describe("endurance", () => {
  const step = ladder();
  const note = faultTable();
  let patient: Patient;

  step(
    "the disk comes up, with a load on it",
    async () => {
      await startSession();
      patient = await startPatient({ note });
      // Rewrites a file for as long as there are outages, each time flushed.
      startOn(
        "client",
        `while test -d ${path}; do dd if=/dev/urandom of=${path}/load bs=256k count=80 conv=fsync status=none || touch /run/load-failed; done`,
      );
    },
    minutes(20),
  );

  step(
    `random cuts of 0.5 to 20 s for ${cutting} minutes`,
    async () => {
      const end = Date.now() + minutes(cutting);
      await patient.endures(
        "cut",
        async () => {
          await pause(Math.random() * 5);
          await lab("link", "cut");
          await pause(0.5 + Math.random() ** 2 * 19.5);
          await lab("link", "heal");
        },
        () => Date.now() < end,
      );
    },
    minutes(cutting + 5),
  );

  for (const [victim, kill] of Object.entries(kills)) {
    step(
      `SIGKILL of ${victim}`,
      async () => {
        await patient.endures(`SIGKILL of ${victim}`, kill, (count) => count < 5);
      },
      minutes(10),
    );
  }

  step(
    `${powerCuts} power cuts of the server at random moments`,
    async () => {
      await patient.endures(
        "power cut of the server",
        async () => {
          await pause(Math.random() * 4);
          await powerCycle("server");
        },
        (count) => count < powerCuts,
      );
    },
    minutes(5 + 2 * powerCuts),
  );

  step("every acknowledged record is there, and no process was told an error", async () => {
    await patient.conclude();
    expect(await on("client", "ls /run/load-failed 2>/dev/null || true")).toBe("");
    console.log(`all of ${patient.writer.acknowledged()} acknowledged records are there`);
  });
});
