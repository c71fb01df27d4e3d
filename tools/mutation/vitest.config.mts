// The unit tests alone: Stryker runs every project of a configuration, and ours has the lab among them. And of those the ones
// that start no process: a mutant at a module's top level runs them all, and a shell or a Pulumi program for each of some
// thousand mutants would be days.
import { readFileSync, readdirSync } from "node:fs";
import { defineConfig } from "vitest/config";

const startsProcesses = /stubbedShell|child_process|Pulumi/;
const quick = readdirSync("test/unit", { encoding: "utf8", recursive: true })
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => `test/unit/${name}`)
  .filter((file) => !startsProcesses.test(readFileSync(file, "utf8")));

export default defineConfig({ test: { include: quick, testTimeout: 30_000, isolate: false } });
