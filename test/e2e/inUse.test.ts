/** A disk that somebody uses is left alone. The other ways to use one are in inUse.long.test.ts. */
import { afterEach, beforeAll, it } from "vitest";
import { anotherWayWaits, destroyRefuses, endUsers, weakSessionEnds } from "./harness/inUse";
import { startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

afterEach(endUsers);

it("destroy refuses a disk with an open file", () => destroyRefuses("an open file"), minutes(3));

it(
  "another way to the server waits for the users of the disk, then loses nothing",
  anotherWayWaits,
  minutes(5),
);

it(
  "a connection without flush is named, and is not in force any more after an up",
  () => weakSessionEnds("flush"),
  minutes(5),
);
