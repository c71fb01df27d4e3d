// The unit tests alone: Stryker runs every project of a configuration, and ours has the lab among them.
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["test/unit/**/*.test.ts"], testTimeout: 30_000 } });
