// npm run test:mutation. Facts and plans are pure, so each mistake that is put into them is to be noticed by a unit test.
/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  vitest: { configFile: "tools/mutation/vitest.config.mts", related: false },
  plugins: ["@stryker-mutator/vitest-runner"],
  mutate: ["provider/facts/*.ts", "provider/resources/*.ts", "provider/diff.ts"],
  ignorePatterns: [".lab", ".cache", "dist", "agent/build"],
  coverageAnalysis: "perTest",
  concurrency: 2,
  // Milliseconds that a mutant has beyond what its tests need: on a machine that does other things, too, a late answer is no loop.
  timeoutMS: 60_000,
  // A mutant whose tests have not changed, nor itself, keeps its result: a whole run is hours.
  incremental: true,
  incrementalFile: ".cache/mutation/incremental.json",
  tempDirName: ".cache/mutation/sandbox",
  reporters: ["clear-text", "json"],
  jsonReporter: { fileName: ".cache/mutation/report.json" },
  clearTextReporter: { allowColor: false, logTests: false },
};
