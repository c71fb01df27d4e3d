/** Every pair of blow and moment that kill.test.ts leaves out for the sake of time. */
import { beforeAll, describe, it } from "vitest";
import { startMounted } from "./harness/scenario";
import { strikeDuringBuild, strikeDuringFormat, type Strike } from "./harness/strike";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

describe("the next up converges after", () => {
  it.each<Strike>(["SIGKILL of the providers", "Ctrl-C"])(
    "%s during luksFormat",
    (strike) => strikeDuringFormat(strike),
    minutes(8),
  );
  it.each<Strike>(["SIGKILL of the CLI", "SIGKILL of the providers", "Ctrl-C"])(
    "%s during the nbd build",
    (strike) => strikeDuringBuild(strike),
    minutes(10),
  );
});
