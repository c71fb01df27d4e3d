/**
 * What is read from xfstests and made of it. A case is `xfstests/check/<case>.yaml`: `said`, what `./check` said until
 * then, and `finished` and `running`, what is to be understood.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Outcome, readCheck, type Status } from "../e2e/harness/xfstests/checkOutput";
import { testsNamed } from "../e2e/harness/xfstests/groups";
import { cellOf, isRegression, leftOf, reportOf, rowsOf, testNames } from "../e2e/harness/xfstests/report";
import { missing, openResults, parseResults, type Result, type Side } from "../e2e/harness/xfstests/results";
import { caseFiles } from "./caseFiles";

interface CheckCase {
  said: string;
  finished: Outcome[];
  running?: string;
}

describe("what check says", () => {
  const cases = caseFiles<CheckCase>("xfstests");

  it.each(cases)("$name", ({ data: { said, finished, running } }) => {
    expect(readCheck(said)).toEqual({ finished, ...(running !== undefined && { running }) });
  });

  it.each(cases)("$name: what was understood stays so while more is said", ({ data: { said, finished } }) => {
    const upToLines = said.split("\n").map((_, i, lines) => lines.slice(0, i).join("\n") + "\n");
    for (const part of upToLines) {
      const early = readCheck(part).finished;
      expect(finished.slice(0, early.length)).toEqual(early);
    }
  });
});

describe("which tests are meant", () => {
  const lists = {
    generic: "001 rw dir auto quick\n002 metadata auto quick # for 2\n475 shutdown auto log\n",
    xfs: "# QA groups control file\n\n001 db auto quick\n004 db auto quick\n1013 auto\n",
  };
  it.each([
    [["generic/quick"], ["generic/001", "generic/002"]],
    [["quick"], ["generic/001", "generic/002", "xfs/001", "xfs/004"]],
    [
      ["xfs/004", "generic/475"],
      ["xfs/004", "generic/475"],
    ],
    [
      ["xfs/1013", "xfs/quick", "xfs/004"],
      ["xfs/1013", "xfs/001", "xfs/004"],
    ],
    [["log"], ["generic/475"]],
  ])("%j", (words, tests) => expect(testsNamed(words, lists)).toEqual(tests));

  it.each(["generic/099", "btrfs/quick", "quik", "generic/", "2"])("%s is refused", (word) => {
    expect(() => testsNamed(["quick", word], lists)).toThrow(`no test or group ${word} in generic, xfs`);
  });
});

const versions = { xfstests: "abc", netdisk: "def", kernel: "7.2" };
const result = (test: string, side: Side, round: number, status: Status, reason?: string): Result => ({
  ...{ test, side, round, status, versions, at: "2026-01-02T03:04:05.000Z" },
  ...(reason !== undefined && { reason }),
});
/** `generic/001 local 1` passed, and so on. */
const runs = (test: string, side: Side, ...statuses: Status[]): Result[] =>
  statuses.map((status, i) => result(test, side, i + 1, status));

describe("results that are kept", () => {
  const folder = mkdtempSync(join(tmpdir(), "xfstests-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const one = result("generic/001", "local", 1, "pass");
  const other = result("generic/002", "netdisk", 1, "skip", "no quota");

  it("are read back by the next run, which adds its own", () => {
    const file = join(folder, "results");
    openResults(file).note(one);
    const kept = openResults(file);
    expect(kept.all).toEqual([one]);
    kept.note(other);
    expect(kept.all).toEqual([one, other]);
    expect(openResults(file).all).toEqual([one, other]);
  });

  it("lose only what a kill cut off", () => {
    const file = join(folder, "torn");
    writeFileSync(file, `${JSON.stringify(one)}\n{"test":"gen`);
    openResults(file).note(other);
    expect(parseResults(readFileSync(file, "utf8"))).toEqual([one, other]);
  });

  it("say what a side has yet to run in a round", () => {
    const tests = ["generic/001", "generic/002"];
    expect(missing(tests, [one, other], "local", 1)).toEqual(["generic/002"]);
    expect(missing(tests, [one, other], "netdisk", 1)).toEqual(["generic/001"]);
    expect(missing(tests, [one, other], "local", 2)).toEqual(tests);
  });
});

describe("the verdict", () => {
  const test = "generic/001";
  it.each<[string, Status[], Status[], boolean]>([
    ["both pass", ["pass", "pass"], ["pass", "pass"], false],
    ["netdisk fails once", ["pass", "pass"], ["pass", "fail"], true],
    ["netdisk fails each time", ["pass", "pass"], ["fail", "fail"], true],
    ["the local disk fails once, too", ["pass", "fail"], ["fail", "fail"], false],
    ["the local disk skips it", ["skip", "skip"], ["fail", "fail"], false],
    ["the local disk has not run it", [], ["fail"], false],
    ["netdisk skips it", ["pass", "pass"], ["skip", "skip"], false],
    ["netdisk has not run it", ["pass"], [], false],
  ])("%s", (_what, local, netdisk, expected) => {
    const [row] = rowsOf([test], [...runs(test, "local", ...local), ...runs(test, "netdisk", ...netdisk)]);
    expect(isRegression(row!)).toBe(expected);
  });
});

describe("the report", () => {
  const results = [
    ...runs("generic/001", "local", "pass", "pass"),
    ...runs("generic/001", "netdisk", "pass", "fail"),
    ...["generic/002", "generic/005", "xfs/003"].flatMap((test) => [
      result(test, "local", 1, "skip", "no quota"),
      result(test, "netdisk", 1, "skip", "no quota"),
    ]),
    ...runs("xfs/004", "local", "pass"),
    result("xfs/004", "netdisk", 1, "skip", "FITRIM | not supported"),
  ];
  const tests = ["generic/001", "generic/002", "generic/005", "xfs/003", "xfs/004", "xfs/005"];
  const extent = { words: ["quick"], tests, rounds: 2 };
  const report = reportOf(extent, results);

  it.each([
    "Asked for: quick (6 tests), 2 runs a side. 2026-01-02; xfstests abc, netdisk def, kernel 7.2.",
    "**Not complete: 12 runs of single tests are still to be done.**",
    "**Passed by the local disk and failed by netdisk: generic/001.**",
    "| generic/001 | 2 passed | 1 passed, 1 failed | **netdisk** | netdisk: no reason given |",
    "| no quota | both | generic/002 005, xfs/003 |",
    "| FITRIM \\| not supported | netdisk only | xfs/004 |",
    "| xfs/004 | 1 passed | 1 skipped |",
    "| passed each time | 2 | 0 |",
    "| differs from run to run | 0 | 1 |",
    "| not run yet | 1 | 1 |",
  ])("says %s", (line) => expect(report.split("\n")).toContain(line));

  it("has no row for what was not run, and counts it", () => {
    expect(report).not.toContain("xfs/005");
    expect(leftOf(extent, results)).toBe(12);
  });

  it("says when all is well", () => {
    const good = [...runs("generic/001", "local", "pass"), ...runs("generic/001", "netdisk", "pass")];
    const text = reportOf({ words: ["generic/001"], tests: ["generic/001"], rounds: 1 }, good);
    expect(text).toContain("\nComplete.\n");
    expect(text).toContain("No test that the local disk passed each time failed on netdisk.");
    expect(text).not.toContain("### Failed");
    expect(text).not.toContain("### Skipped");
  });

  it("names tests by folder", () => {
    expect(testNames(["generic/001", "generic/013", "xfs/004"])).toBe("generic/001 013, xfs/004");
    expect(cellOf([])).toBe("–");
  });
});
