/** Every row of drift.yaml, each alone (npm run test:drift). */
import { beforeAll, describe, it } from "vitest";
import { drifts, namedAndRefused, namedAndRepaired, writeMarker } from "./harness/drift";
import { recordTypical } from "./harness/record";
import { expectNoChanges, startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

beforeAll(async () => {
  await startMounted();
  await writeMarker();
  await recordTypical();
}, minutes(15));

describe("drift made by hand", () => {
  it.each(drifts)(
    "$name",
    (drift) => (drift.refused === undefined ? namedAndRepaired([drift]) : namedAndRefused(drift)),
    minutes(8),
  );

  it("leaves nothing to do", expectNoChanges);
});
