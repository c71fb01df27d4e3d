// .mts: the package is CommonJS, and vitest wants its configuration as a module.
import { defineConfig } from "vitest/config";

const seconds = (n: number) => n * 1000;
const minutes = (n: number) => seconds(60 * n);

export default defineConfig({
  test: {
    projects: [
      // Pure: no process, no network.
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      // Real gRPC and processes, scripted SSH.
      {
        test: {
          name: "provider",
          include: ["test/provider/**/*.test.ts"],
          testTimeout: seconds(30),
          hookTimeout: seconds(30),
        },
      },
      // Real hosts: there is one lab, so one file at a time, and a step may be an nbd build.
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          fileParallelism: false,
          sequence: { concurrent: false },
          testTimeout: minutes(10),
          hookTimeout: minutes(10),
        },
      },
    ],
  },
});
