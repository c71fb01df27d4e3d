/** Every row of drift.yaml (npm run test:drift). */
import { beforeAll, describe, it } from "vitest";
import { batches, drifts, namedAndRefused, namedAndRepaired, writeMarker } from "./harness/drift";
import { recordTypical } from "./harness/record";
import { expectNoChanges, startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

beforeAll(async () => {
  await startMounted();
  await writeMarker();
  await recordTypical();
}, minutes(15));

describe("drift made by hand", () => {
  it.each(batches)("$batch: $what", ({ rows }) => namedAndRepaired(rows), minutes(15));

  it.each(drifts.filter(({ refused }) => refused !== undefined))("$name", namedAndRefused, minutes(8));

  it("leaves nothing to do", expectNoChanges);
});
