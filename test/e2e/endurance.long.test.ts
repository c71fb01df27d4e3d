/**
 * Outages by the dozen: a disk with `transport: session` under random cuts, kills and power cuts of its server, with a
 * writer and a load on it. NETDISK_ENDURANCE_MINUTES (default 10) of cuts, NETDISK_ENDURANCE_POWER_CUTS (default 50).
 */
import { afterAll, describe, expect } from "vitest";
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
  const results: string[] = [];
  let patient: Patient;
  afterAll(() =>
    console.log(
      ["fault | count | errors | acknowledged records lost | longest stall after repair", ...results].join(
        "\n",
      ),
    ),
  );

  async function repeat(
    fault: string,
    goesOn: (count: number) => boolean,
    harm: () => Promise<unknown>,
  ): Promise<void> {
    let count = 0;
    let longest = 0;
    while (goesOn(count)) {
      longest = Math.max(longest, await patient.survives(`${fault} ${++count}`, harm));
    }
    results.push(`${fault} | ${count} | 0 | see the last step | ${longest.toFixed(1)} s`);
  }

  step(
    "the disk comes up, with a load on it",
    async () => {
      await startSession();
      patient = await startPatient();
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
      await repeat(
        "cut",
        () => Date.now() < end,
        async () => {
          await pause(Math.random() * 5);
          await lab("link", "cut");
          await pause(0.5 + Math.random() ** 2 * 19.5);
          await lab("link", "heal");
        },
      );
    },
    minutes(cutting + 5),
  );

  for (const [victim, kill] of Object.entries(kills)) {
    step(
      `SIGKILL of ${victim}`,
      () => repeat(`SIGKILL of ${victim}`, (count) => count < 5, kill),
      minutes(10),
    );
  }

  step(
    `${powerCuts} power cuts of the server at random moments`,
    () =>
      repeat(
        "power cut of the server",
        (count) => count < powerCuts,
        async () => {
          await pause(Math.random() * 4);
          await powerCycle("server");
        },
      ),
    minutes(5 + 2 * powerCuts),
  );

  step("every acknowledged record is there, and no process was told an error", async () => {
    await patient.conclude();
    expect(await on("client", "ls /run/load-failed 2>/dev/null || true")).toBe("");
    results.push(`all records | ${patient.writer.acknowledged()} acknowledged | 0 | 0 |`);
  });
});
