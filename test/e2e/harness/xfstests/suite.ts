/** All runs that are still to be done, side by side, so that what a run that was ended early has found can be compared. */
import { join } from "node:path";
import { labName, on } from "../lab";
import { checkout } from "../run";
import { endLeftovers, runCheck } from "./check";
import type { Outcome } from "./checkOutput";
import { devicesOf, netdiskVersion, withoutDevices } from "./disks";
import type { Extent } from "./report";
import { type Kept, missing, type Side, sides, type Versions } from "./results";

/** Of this lab, on this machine. */
export const folder = join(checkout, ".lab", `${labName}-xfstests`);

/** What a call of check costs by itself (it makes and checks file systems) is shared by so many tests. */
const atOnce = 15;

export const versionsWith = async (xfstests: string): Promise<Versions> => ({
  xfstests: xfstests.slice(0, 12),
  netdisk: await netdiskVersion(),
  kernel: await on("client", "uname -r"),
});

export interface Suite {
  extent: Extent;
  versions: Versions;
  kept: Kept;
  /** Seconds that a test may take. */
  limit: number;
  /** Whether it is time to end; asked between two calls of check. */
  isEnough(): boolean;
}

const sentence = (side: Side, round: number, { test, status, reason, seconds }: Outcome): string =>
  [`${side} ${round}`, test, status, reason ?? (seconds === undefined ? "" : `${seconds} s`)].join(" | ");

/** Until every one of these tests was run on a side in a round; more than one call of check where a test ends one. */
async function runAll(suite: Suite, tests: readonly string[], side: Side, round: number): Promise<void> {
  const { kept, versions, limit } = suite;
  for (;;) {
    const left = missing(tests, kept.all, side, round);
    if (left.length === 0 || suite.isEnough()) return;
    const devices = await devicesOf(side);
    await runCheck({
      ...{ tests: left, devices, limit },
      name: `${side}-${round}`,
      evidence: join(folder, "failed"),
      found(outcome) {
        const { reason } = outcome;
        const told = { ...outcome, ...(reason !== undefined && { reason: withoutDevices(reason, devices) }) };
        kept.note({ ...told, side, round, at: new Date().toISOString(), versions });
        console.log(sentence(side, round, told));
      },
    });
  }
}

export async function runSuite(suite: Suite): Promise<void> {
  const { tests, rounds } = suite.extent;
  await endLeftovers();
  for (let round = 1; round <= rounds; round++) {
    for (let from = 0; from < tests.length; from += atOnce) {
      for (const side of sides) await runAll(suite, tests.slice(from, from + atOnce), side, round);
    }
  }
}
