/** What a suite of faults has to show for itself: a row for each, printed when the suite is over, whatever its end. */
import { afterAll, expect } from "vitest";
import type { Patient } from "./outage";

export interface Outcome {
  count: number;
  /** Errors that reached the client; NaN: it could not be asked. */
  errors: number;
  /** Acknowledged bytes that are not on the disk; NaN: it could not be read. */
  lost: number;
  /** Seconds. */
  longest: number;
}

export interface Faults {
  /** A row of its own. */
  show(fault: string, outcome: Outcome): void;
  /**
   * Does harm for as long as wished; `harm` returns the seconds until all was well again, and throws where it never was.
   * `lost` is asked at the end, and must be 0; so are `errors` where it failed, of which there may be none: then the harm
   * itself could not be done. Returns the longest wait.
   */
  repeat(
    fault: string,
    goesOn: (count: number) => boolean,
    harm: (number: number) => Promise<number>,
    lost: () => Promise<number>,
    errors?: () => Promise<number>,
  ): Promise<number>;
  /** The same where harm is survived by a patient; once, unless `goesOn` says otherwise. */
  endure(
    patient: Patient,
    fault: string,
    harm: () => Promise<unknown>,
    goesOn?: (count: number) => boolean,
  ): Promise<number>;
}

export const times =
  (wished: number) =>
  (count: number): boolean =>
    count < wished;

/** How often, or how long: an environment variable says so. */
export function wished(variable: string, usual: number): number {
  const wish = Number(process.env[variable] ?? usual);
  if (!(wish > 0)) throw new Error(`${variable} is ${process.env[variable]}. Give it a number above 0.`);
  return wish;
}

export function faultTable(): Faults {
  const rows = ["fault | count | errors | bytes lost | longest stall after repair"];
  afterAll(() => console.log(rows.join("\n")));
  const show = (fault: string, { count, errors, lost, longest }: Outcome) => {
    const known = (number: number) => (Number.isNaN(number) ? "unknown" : String(number));
    const row = `${fault} | ${count} | ${known(errors)} | ${known(lost)} | ${longest.toFixed(1)} s`;
    console.log(row);
    rows.push(row);
  };
  const repeat: Faults["repeat"] = async (fault, goesOn, harm, lost, errors = async () => NaN) => {
    const outcome: Outcome = { count: 0, errors: 0, lost: 0, longest: 0 };
    let failed = true;
    try {
      while (goesOn(outcome.count)) {
        outcome.longest = Math.max(outcome.longest, await harm(++outcome.count));
      }
      failed = false;
    } finally {
      if (failed) outcome.errors = await errors().catch(() => NaN);
      // Where all went well but this, the suite has to fail by it.
      outcome.lost = failed ? await lost().catch(() => NaN) : await lost();
      show(fault, outcome);
    }
    expect(outcome.lost, fault).toBe(0);
    return outcome.longest;
  };
  return {
    show,
    repeat,
    endure: (patient, fault, harm, goesOn = times(1)) =>
      repeat(
        fault,
        goesOn,
        (number) => patient.survives(`${fault} ${number}`, harm),
        () => patient.lost(),
        async () => (await patient.errors()).length,
      ),
  };
}
