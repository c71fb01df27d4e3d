/** The kill matrix counts as struck what was struck, and fails for each of its reasons. */
import { describe, expect, it } from "vitest";
import type { TraceLine } from "../../provider/trace";
import { faultsOf, type Outcome, rowOf, stepsIn, type Tried } from "../e2e/harness/tally";

const line = (event: TraceLine["event"], step: string): TraceLine => ({
  ...{ time: "2026-12-01T00:00:00Z", host: "client", event, step },
  urn: "urn:pulumi:e2e::netdisk-e2e::netdisk:index:Luks::second",
});

describe("a step of a trace", () => {
  it.each<[TraceLine["event"][], Record<string, boolean>]>([
    [[], {}],
    [["begin"], { "Luks (second): a": false }],
    [["begin", "done"], { "Luks (second): a": true }],
    [["begin", "failed"], { "Luks (second): a": true }],
    [["begin", "done", "begin"], { "Luks (second): a": true, "Luks (second): a (2)": false }],
  ])("after %j has ended or not: %j", (events, steps) => {
    expect(Object.fromEntries(stepsIn(events.map((event) => line(event, "a"))))).toEqual(steps);
  });
});

const well: Outcome = { outlived: false, lost: [] };
const tried = (...outcomes: (Partial<Outcome> | "unmet" | "error")[]): Tried[] =>
  outcomes.map((outcome, i) => ({
    step: `step ${i}`,
    ...(outcome === "error"
      ? { error: "no lab" }
      : outcome !== "unmet" && { outcome: { ...well, ...outcome } }),
  }));

describe("a cell", () => {
  it.each<[string, Tried[], string, string[]]>([
    ["all well", tried({}, { outlived: true }, {}, "unmet"), "9 | 4 | 1 | 3 | 1 | 3 | 0", []],
    [
      "unmet, above a quarter",
      tried({}, {}, "unmet"),
      "9 | 3 | 1 | 2 | 0 | 2 | 0",
      ["too many steps were not met: step 2"],
    ],
    ["nothing tried", [], "9 | 0 | 0 | 0 | 0 | 0 | 0", ["too many steps were not met: "]],
    [
      "lost",
      tried({}, { lost: ["/mnt/second: differs"] }),
      "9 | 2 | 0 | 2 | 0 | 2 | 1",
      ["step 1: lost: /mnt/second: differs"],
    ],
    [
      "not converged",
      tried({}, { failure: "exit status 255" }),
      "9 | 2 | 0 | 2 | 0 | 1 | 0",
      ["step 1: did not converge: exit status 255"],
    ],
    ["the lab at fault", tried({}, "error"), "9 | 2 | 0 | 1 | 0 | 1 | 0", ["step 1: no lab"]],
  ])("%s", (_, cell, row, faults) => {
    expect(rowOf(9, cell)).toBe(row);
    expect(faultsOf(cell)).toEqual(faults);
  });
});
