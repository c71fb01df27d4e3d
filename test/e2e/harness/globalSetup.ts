/** Around all end-to-end tests of one run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { lab } from "./lab";
import { labOfLane, lanes } from "./lanes";
import { checkout, must } from "./run";

export async function setup(): Promise<void> {
  await lab("up");
}

/** Nothing keeps running; disks and snapshots stay for the next run. NETDISK_KEEP_LAB=1 leaves the hosts up to look at. */
export async function teardown(): Promise<void> {
  if (process.env.NETDISK_KEEP_LAB === "1") return;
  for (let lane = 1; lane <= lanes; lane++) {
    const env = { NETDISK_LAB: labOfLane(lane) };
    if (existsSync(join(checkout, ".lab", env.NETDISK_LAB)))
      await must([join(checkout, "lab/lab"), "down"], { env });
  }
}
