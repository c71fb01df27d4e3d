/** What inUse.test.ts leaves out for the sake of time. */
import { afterEach, beforeAll, it } from "vitest";
import {
  destroyRefuses,
  serviceStopsFirst,
  endUsers,
  silentServerRefuses,
  stopByHandFlushes,
  weakSessionEnds,
} from "./harness/inUse";
import { startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

afterEach(endUsers);

it.each(["a mount in another namespace", "a bind mount"] as const)(
  "destroy refuses a disk with %s",
  (use) => destroyRefuses(use),
  minutes(3),
);

it(
  "a stop by hand that gives up on somebody else's mount has written all out before, and says so",
  stopByHandFlushes,
  minutes(3),
);

it("a service on the disk is stopped before the disk is, and started with it", serviceStopsFirst, minutes(3));

it("a run unmounts no disk whose server is silent", silentServerRefuses, minutes(5));

it(
  "a connection without sync is named, and is not in force any more after an up",
  () => weakSessionEnds("sync"),
  minutes(5),
);
