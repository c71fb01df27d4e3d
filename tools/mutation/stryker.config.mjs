// npm run test:mutation. Facts and plans are pure, so each mistake that is put into them is to be noticed by a unit test.
// A whole run is hours; NETDISK_MUTATION_EVERY=10 takes 6 of each 60 lines of every file, spread alike each time.
import { readFileSync, readdirSync } from "node:fs";

const LINES = 6;
const every = Number(process.env.NETDISK_MUTATION_EVERY ?? 1);
if (!Number.isInteger(every) || every < 1)
  throw new Error(
    `NETDISK_MUTATION_EVERY is ${process.env.NETDISK_MUTATION_EVERY}. Give a whole number from 1.`,
  );

const files = [
  ...["provider/facts", "provider/resources"].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `${folder}/${name}`),
  ),
  "provider/diff.ts",
];

/** Ranges as Stryker wants them, `FILE:FIRST-LAST`. Another place in each file, or all would be import lines. */
function sampled(file, index) {
  const lines = readFileSync(file, "utf8").split("\n").length;
  const ranges = [];
  for (let first = 1 + (index % every) * LINES; first <= lines; first += LINES * every)
    ranges.push(`${file}:${first}-${Math.min(first + LINES - 1, lines)}`);
  return ranges;
}

/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  vitest: { configFile: "tools/mutation/vitest.config.mts", related: false },
  plugins: ["@stryker-mutator/vitest-runner"],
  mutate: every === 1 ? files : files.flatMap(sampled),
  ignorePatterns: [".lab", ".cache", "dist", "agent/build"],
  coverageAnalysis: "perTest",
  concurrency: 2,
  // Milliseconds that a mutant has beyond what its tests need: on a machine that does other things, too, a late answer is no loop.
  timeoutMS: 60_000,
  // A mutant whose tests have not changed, nor itself, keeps its result.
  incremental: true,
  incrementalFile: ".cache/mutation/incremental.json",
  tempDirName: ".cache/mutation/sandbox",
  reporters: ["clear-text", "json", "progress-append-only"],
  jsonReporter: { fileName: ".cache/mutation/report.json" },
  clearTextReporter: { allowColor: false, logTests: false },
};
