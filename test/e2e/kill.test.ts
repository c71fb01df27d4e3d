/** After a killed or interrupted run the next one converges, with nothing left behind and nothing done twice. */
import { beforeAll, describe, it } from "vitest";
import { startMounted } from "./harness/scenario";
import { strikeAtFormat } from "./harness/strike";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

// The other pairs of blow and moment are in kill.long.test.ts.
describe("the next up converges after", () => {
  it(
    "SIGKILL of the CLI at luksFormat",
    () => strikeAtFormat("SIGKILL of the CLI", "luksFormat"),
    minutes(8),
  );
});
