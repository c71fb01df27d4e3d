// .mts: the package is CommonJS, and vitest wants its configuration as a module.
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const seconds = (n: number) => n * 1000;
const minutes = (n: number) => seconds(60 * n);

// A shared CI machine may stall for seconds in the middle of a test that measures time: one more try there, printed as
// "retry x1". What is really broken fails twice. On a developer's machine the first failure counts, and in the lab always:
// a loss that comes every other time is a loss.
const retry = process.env.CI ? 1 : 0;

// Real hosts, and a step may be an nbd build.
const onTheLab = {
  globalSetup: ["test/built.ts", "test/e2e/harness/globalSetup.ts"],
  testTimeout: minutes(10),
  hookTimeout: minutes(10),
};

/**
 * The ladder first: it makes the disk from nothing and keeps the hosts as they are then; the others begin there. The long
 * ones next, so that both lanes end at about the same time.
 */
class LadderFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const first = ["ladder", "drift", "outage", "secrets"];
    const rank = ({ moduleId }: TestSpecification) =>
      [...first, ""].findIndex((name) => moduleId.includes(`/${name}`));
    return [...files].sort((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LadderFirst },
    // npm run test:coverage. What runs in processes of its own (provider/main.ts) is not seen.
    coverage: {
      provider: "v8",
      include: ["provider/**/*.ts"],
      // The pattern fits test/provider, too.
      exclude: ["test/**"],
      reporter: ["text"],
      thresholds: { lines: 90 },
    },
    projects: [
      // No host, no network; scripts run against stand-ins.
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: seconds(30) } },
      // Real gRPC and processes, scripted SSH.
      {
        test: {
          name: "provider",
          include: ["test/provider/**/*.test.ts"],
          globalSetup: ["test/built.ts"],
          testTimeout: seconds(30),
          hookTimeout: seconds(30),
          retry,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          exclude: ["test/e2e/**/*.long.test.ts"],
          ...onTheLab,
          // Lanes, each with a lab of its own (test/e2e/harness/lanes.ts).
          maxWorkers: 2,
          sequence: { concurrent: false, groupOrder: 1 },
        },
      },
      // What would make `npm test` too long: npm run test:long.
      {
        test: {
          name: "long",
          include: ["test/e2e/**/*.long.test.ts"],
          ...onTheLab,
          fileParallelism: false,
          sequence: { concurrent: false, groupOrder: 2 },
        },
      },
    ],
  },
});
