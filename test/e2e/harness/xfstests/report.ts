/** From results to the table, the skips and the verdict. Pure. */
import type { Status } from "./checkOutput";
import { type Result, type Side, sides } from "./results";

/** One test, and what came of it on each side, run by run. */
export interface Row {
  test: string;
  results: Record<Side, Result[]>;
}

export function rowsOf(tests: readonly string[], results: readonly Result[]): Row[] {
  const of = (test: string, side: Side) =>
    results
      .filter((result) => result.test === test && result.side === side)
      .sort((a, b) => a.round - b.round);
  return tests.map((test): Row => ({
    test,
    results: { local: of(test, "local"), netdisk: of(test, "netdisk") },
  }));
}

const hasRun = ({ results }: Row): boolean => sides.some((side) => results[side].length > 0);

const count = (results: readonly Result[], status: Status): number =>
  results.filter((result) => result.status === status).length;

/** A local disk passes it whenever asked, and a netdisk disk has failed it: what must not be. */
export const isRegression = ({ results }: Row): boolean =>
  results.local.length > 0 &&
  count(results.local, "pass") === results.local.length &&
  count(results.netdisk, "fail") > 0;

const shown: Record<Status, string> = { pass: "passed", fail: "failed", skip: "skipped" };

/** `3 passed`, `2 passed, 1 failed` */
export const cellOf = (results: readonly Result[]): string =>
  (Object.keys(shown) as Status[])
    .filter((status) => count(results, status) > 0)
    .map((status) => `${count(results, status)} ${shown[status]}`)
    .join(", ") || "–";

/** A bar would end the cell; a backquote, a star or a tag would be read as Markdown. */
const cell = (text: string): string => text.replace(/[|`*<>_\\]/g, (char) => `\\${char}`);

const line = (...cells: string[]): string => `| ${cells.join(" | ")} |`;

export const table = (heads: string[], rows: string[][]): string =>
  [heads, heads.map(() => "---"), ...rows].map((cells) => line(...cells)).join("\n");

/** `generic/001 003, xfs/004` */
export function testNames(tests: readonly string[]): string {
  const folders = new Map<string, string[]>();
  for (const test of tests) {
    const [folder = "", name = ""] = test.split("/");
    folders.set(folder, [...(folders.get(folder) ?? []), name]);
  }
  return [...folders].map(([folder, names]) => `${folder}/${names.join(" ")}`).join(", ");
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

/** What the results of one status say, each reason once. */
const reasons = (results: readonly Result[], status: Status): string[] =>
  unique(
    results.filter((result) => result.status === status).map(({ reason }) => reason ?? "no reason given"),
  );

/** Why tests were skipped and on which side, the tests of one reason together. */
function skips(rows: readonly Row[]): string[][] {
  const groups = new Map<string, { where: string; reason: string; tests: string[] }>();
  for (const { test, results } of rows) {
    const by = new Map<string, Side[]>();
    for (const side of sides) {
      for (const reason of reasons(results[side], "skip")) by.set(reason, [...(by.get(reason) ?? []), side]);
    }
    for (const [reason, where] of by) {
      const key = `${where.join(" ")} ${reason}`;
      const group = groups.get(key) ?? {
        where: where.length === sides.length ? "both" : `${where.join()} only`,
        reason,
        tests: [],
      };
      group.tests.push(test);
      groups.set(key, group);
    }
  }
  return [...groups.values()]
    .sort((a, b) => a.where.localeCompare(b.where) || b.tests.length - a.tests.length)
    .map(({ where, reason, tests }) => [cell(reason), where, testNames(tests)]);
}

const failures = (rows: readonly Row[]): string[][] =>
  rows
    .filter(({ results }) => sides.some((side) => count(results[side], "fail") > 0))
    .map((row) => {
      const said = sides.flatMap((side) =>
        reasons(row.results[side], "fail").map((reason) => `${side}: ${cell(reason)}`),
      );
      const { local, netdisk } = row.results;
      return [
        row.test,
        cellOf(local),
        cellOf(netdisk),
        isRegression(row) ? "**netdisk**" : "",
        said.join("; "),
      ];
    });

/** Of how many tests each side says what. */
function totals(rows: readonly Row[]): string[][] {
  const kinds = unique(rows.flatMap(({ results }) => sides.map((side) => kindOf(results[side]))));
  return kinds
    .sort()
    .map((kind) => [
      kind,
      ...sides.map((side) => String(rows.filter(({ results }) => kindOf(results[side]) === kind).length)),
    ]);
}

const kindOf = (results: readonly Result[]): string => {
  const statuses = unique(results.map(({ status }) => status));
  if (statuses.length === 0) return "not run yet";
  return statuses.length === 1 ? `${shown[statuses[0] ?? "pass"]} each time` : "differs from run to run";
};

export interface Extent {
  /** What was asked for. */
  words: readonly string[];
  tests: readonly string[];
  rounds: number;
}

/** How many runs of single tests are still to be done. */
export const leftOf = ({ tests, rounds }: Extent, results: readonly Result[]): number =>
  tests.length * rounds * sides.length -
  results.filter(({ test, round }) => tests.includes(test) && round <= rounds).length;

/** Which versions, and between which days. */
function provenance(results: readonly Result[]): string {
  const of = (what: keyof Result["versions"]) =>
    unique(results.map(({ versions }) => versions[what])).join(", ");
  const days = results.map(({ at }) => at.slice(0, 10)).sort();
  const span = unique([days[0], days.at(-1)]).join(" to ");
  return `${span}; xfstests ${of("xfstests")}, netdisk ${of("netdisk")}, kernel ${of("kernel")}.`;
}

/** The section of docs/xfstests.md. */
export function reportOf(extent: Extent, results: readonly Result[]): string {
  const rows = rowsOf(extent.tests, results);
  const left = leftOf(extent, results);
  const regressions = rows.filter(isRegression);
  const failed = failures(rows);
  const skipped = skips(rows);
  return [
    `Asked for: ${extent.words.join(" ")} (${extent.tests.length} tests), ${extent.rounds} runs a side. ${provenance(results)}`,
    left > 0 ? `**Not complete: ${left} runs of single tests are still to be done.**` : "Complete.",
    regressions.length > 0
      ? `**Passed by the local disk and failed by netdisk: ${testNames(regressions.map(({ test }) => test))}.**`
      : `No test that the local disk passed each time failed on netdisk${left > 0 ? " so far" : ""}.`,
    table(["", "local", "netdisk"], totals(rows)),
    ...(failed.length > 0
      ? ["### Failed", table(["test", "local", "netdisk", "whose", "what it said"], failed)]
      : []),
    ...(skipped.length > 0 ? ["### Skipped", table(["reason", "on", "tests"], skipped)] : []),
    "### All",
    table(
      ["test", "local", "netdisk"],
      rows
        .filter(hasRun)
        .map(({ test, results: { local, netdisk } }) => [test, cellOf(local), cellOf(netdisk)]),
    ),
  ].join("\n\n");
}
