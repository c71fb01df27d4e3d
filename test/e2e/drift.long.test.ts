/** Every row of drift.yaml (npm run test:drift). */
import { beforeAll, describe, it } from "vitest";
import { moreDisks, namedAndRefused, namedAndRepaired, writeMarker } from "./harness/drift";
import { ofMoreDisks, ofOneDisk } from "./harness/driftTable";
import { install } from "./harness/lab";
import { serialRule } from "./harness/labDisk";
import { setDisks, testdisk } from "./harness/project";
import { recordTypical } from "./harness/record";
import { expectNoChanges, startMounted, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

beforeAll(async () => {
  await startMounted();
  // nbdinfo: what nbd-server really serves.
  await install("server", "libnbd-bin");
  await writeMarker();
  await recordTypical();
}, minutes(15));

function rows({ batches, refused }: typeof ofOneDisk): void {
  it.each(batches)("$batch: $what", (batch) => namedAndRepaired(batch.rows), minutes(15));
  it.each(refused)("$name", namedAndRefused, minutes(8));
  it("leaves nothing to do", expectNoChanges);
}

describe("drift made by hand", () => {
  rows(ofOneDisk);
});

describe("drift made by hand beside two disks of the default transport", () => {
  beforeAll(async () => {
    await serialRule();
    setDisks({ testdisk, ...moreDisks });
    await up();
    await recordTypical();
  }, minutes(15));

  rows(ofMoreDisks);
});
