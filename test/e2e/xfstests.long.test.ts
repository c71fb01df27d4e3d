/**
 * xfstests on two netdisk disks with `transport: session`, and on two local disks of the same size, blocks, kernel and
 * host: what a local disk passes each time, netdisk passes each time. `npm run test:xfstests -- REPOSITORY` calls it
 * (tools/test-xfstests says how); without a repository there is nothing to run.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect } from "vitest";
import { writePageSection } from "../../tools/pageSection";
import { wished } from "./harness/faults";
import { ladder } from "./harness/scenario";
import { areMade, makeDisks } from "./harness/xfstests/disks";
import { testsNamed } from "./harness/xfstests/groups";
import { groupLists, installXfstests } from "./harness/xfstests/install";
import { type Extent, isRegression, leftOf, reportOf, rowsOf } from "./harness/xfstests/report";
import { type Kept, openResults, type Versions } from "./harness/xfstests/results";
import { folder, runSuite, versionsWith } from "./harness/xfstests/suite";

const minutes = (n: number) => n * 60_000;
const repository = process.env.NETDISK_XFSTESTS_REPOSITORY;
const named = (process.env.NETDISK_XFSTESTS_TESTS ?? "").split(" ").filter((word) => word !== "");
const words = named.length > 0 ? named : ["generic/quick", "xfs/quick"];
const rounds = wished("NETDISK_XFSTESTS_ROUNDS", 3);
const limit = wished("NETDISK_XFSTESTS_LIMIT", 600);
const until = Date.now() + minutes(wished("NETDISK_XFSTESTS_MINUTES", Infinity));
const isNew = process.env.NETDISK_XFSTESTS_NEW === "1";

describe.skipIf(repository === undefined)("xfstests", () => {
  const step = ladder();
  let versions: Versions | undefined;
  let extent: Extent | undefined;
  let kept: Kept | undefined;

  afterAll(() => {
    if (!extent || !kept || kept.all.length === 0) return;
    const report = reportOf(extent, kept.all);
    console.log(report);
    writePageSection("xfstests.md", "xfstests", report);
  });

  step(
    "is built beside two netdisk disks",
    async () => {
      if (isNew) rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      if (isNew || !(await areMade())) await makeDisks();
      versions = await versionsWith(await installXfstests(repository ?? ""));
      extent = { words, tests: testsNamed(words, await groupLists()), rounds };
      kept = openResults(join(folder, "results"));
    },
    minutes(120),
  );

  step(
    "has run on both sides",
    async () => {
      if (!versions || !extent || !kept) throw new Error("nothing was prepared");
      await runSuite({ extent, versions, kept, limit, isEnough: () => Date.now() > until });
    },
    minutes(7 * 24 * 60),
  );

  step("fails nothing on netdisk that it passes on a local disk", async () => {
    if (!extent || !kept) throw new Error("nothing was run");
    expect(rowsOf(extent.tests, kept.all).filter(isRegression)).toEqual([]);
  });

  step("has run all that was asked for, or as long as was wished", async () => {
    if (!extent || !kept) throw new Error("nothing was run");
    if (Date.now() < until) expect(leftOf(extent, kept.all)).toBe(0);
    expect(kept.all).not.toEqual([]);
  });
});
