/** The pairs of blow and moment that kill.test.ts leaves out for the sake of time. */
import { beforeAll, describe, it } from "vitest";
import { startMounted } from "./harness/scenario";
import { strikeAtFormat, strikeDuringBuild, type Format, type Strike } from "./harness/strike";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

describe("the next up converges after", () => {
  it.each<[Strike, Format]>([
    ["SIGKILL of the providers", "luksFormat"],
    ["Ctrl-C", "luksFormat"],
    ["SIGKILL of the providers", "the header's way to the device"],
    ["SIGKILL of the providers", "the end of luksFormat"],
    ["SIGKILL of the providers", "mkfs.xfs"],
    ["SIGKILL of the CLI", "the end of mkfs.xfs"],
  ])("%s at %s", strikeAtFormat, minutes(8));
  it.each<Strike>(["SIGKILL of the CLI", "SIGKILL of the providers", "Ctrl-C"])(
    "%s during the nbd build",
    (strike) => strikeDuringBuild(strike),
    minutes(10),
  );
});
