/** Around all end-to-end tests of one run. */
import { join } from "node:path";
import { lab } from "./lab";
import { labsOfLanes } from "./lanes";
import { checkout, must } from "./run";

export async function setup(): Promise<void> {
  await lab("up");
}

/** Nothing keeps running; disks and snapshots stay for the next run. NETDISK_KEEP_LAB=1 leaves the hosts up to look at. */
export async function teardown(): Promise<void> {
  if (process.env.NETDISK_KEEP_LAB === "1") return;
  for (const name of labsOfLanes())
    await must([join(checkout, "lab/lab"), "down"], { env: { NETDISK_LAB: name } });
}
