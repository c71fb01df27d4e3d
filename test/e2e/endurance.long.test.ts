/**
 * Outages by the dozen: a disk with `transport: session` under random cuts, kills and power cuts of its server, with a
 * writer and a load on it. NETDISK_ENDURANCE_CUTS (default 100), NETDISK_ENDURANCE_POWER_CUTS (default 50).
 */
import { describe, expect } from "vitest";
import { faultTable, times, wished } from "./harness/faults";
import { powerCycle, rebootServer } from "./harness/lab";
import {
  breakages,
  longestAfterBreakage,
  longestAfterCut,
  path,
  type Patient,
  patientOf,
  startSession,
} from "./harness/outage";
import { pause } from "./harness/run";
import { ladder } from "./harness/scenario";
import { startWork } from "./harness/work";

const minutes = (n: number) => n * 60_000;
const cuts = wished("NETDISK_ENDURANCE_CUTS", 100);
const powerCuts = wished("NETDISK_ENDURANCE_POWER_CUTS", 50);

describe("endurance", () => {
  const step = ladder();
  const faults = faultTable();
  let patient: Patient;

  step(
    "the disk comes up, with a load on it",
    async () => {
      await startSession();
      patient = await patientOf(await startWork(path), "any request");
    },
    minutes(20),
  );

  step(
    `${cuts} random cuts of 0.5 to 20 s`,
    async () => {
      let seconds = NaN;
      const tooLong: string[] = [];
      const watched: Patient = {
        ...patient,
        async survives(fault, harm) {
          const stall = await patient.survives(fault, harm);
          if (stall >= longestAfterCut(seconds))
            tooLong.push(`${stall.toFixed(1)} s after a cut of ${seconds.toFixed(1)} s`);
          return stall;
        },
      };
      await faults.endure(
        watched,
        "cut",
        async () => {
          seconds = 0.5 + Math.random() ** 2 * 19.5;
          await pause(Math.random() * 5);
          await patient.cutWhile(() => pause(seconds));
        },
        times(cuts),
      );
      expect(tooLong).toEqual([]);
    },
    minutes(5 + cuts),
  );

  for (const [breakage, act] of Object.entries(breakages)) {
    step(
      breakage,
      async () =>
        expect(await faults.endure(patient, breakage, act, times(5))).toBeLessThan(longestAfterBreakage),
      minutes(10),
    );
  }

  step(
    "reboot of the server",
    async () =>
      expect(await faults.endure(patient, "reboot of the server", rebootServer, times(3))).toBeLessThan(60),
    minutes(10),
  );

  step(
    `${powerCuts} power cuts of the server at random moments`,
    () =>
      faults.endure(
        patient,
        "power cut of the server",
        async () => {
          await pause(Math.random() * 4);
          await powerCycle("server");
        },
        times(powerCuts),
      ),
    minutes(5 + 2 * powerCuts),
  );

  step("all that was acknowledged is there, and no process was told an error", () => patient.conclude());
});
