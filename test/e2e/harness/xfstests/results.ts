/** What was found so far, one line for each test that was run, so that a run that was killed goes on. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Outcome } from "./checkOutput";

export type Side = "local" | "netdisk";
export const sides: readonly Side[] = ["local", "netdisk"];

/** Of xfstests, of netdisk, and the client's kernel. */
export interface Versions {
  xfstests: string;
  netdisk: string;
  kernel: string;
}

export interface Result extends Outcome {
  side: Side;
  /** From 1 on. */
  round: number;
  /** When it was noted, ISO 8601. */
  at: string;
  versions: Versions;
}

/** @returns what a file's text holds; a last line that a kill cut off is no result. */
export function parseResults(text: string): Result[] {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Result);
}

export interface Kept {
  all: readonly Result[];
  note(result: Result): void;
}

/** Opens a file of results, which need not be there. */
export function openResults(file: string): Kept {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const all = parseResults(text);
  // The next result must not stand behind one that a kill cut off.
  if (text !== "" && !text.endsWith("\n")) writeFileSync(file, text.slice(0, text.lastIndexOf("\n") + 1));
  return {
    all,
    note(result) {
      all.push(result);
      appendFileSync(file, `${JSON.stringify(result)}\n`);
    },
  };
}

/** The tests that a side has yet to run in a round. */
export function missing(
  tests: readonly string[],
  results: readonly Result[],
  side: Side,
  round: number,
): string[] {
  const done = new Set(
    results.filter((result) => result.side === side && result.round === round).map(({ test }) => test),
  );
  return tests.filter((test) => !done.has(test));
}
