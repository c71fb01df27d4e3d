/** What faults did, a row for each: printed at once, and as one table when the file's tests are over. */
import { afterAll } from "vitest";

export interface Row {
  fault: string;
  count: number;
  /** What reached a process or the client's kernel. */
  errors: number;
  /** Acknowledged records that were not there when they were read from the server. */
  lost: number;
  /** Seconds from the end of the harm until the writer went on, at the most. */
  stall: number;
}

/** To be called where tests are described. */
export function faultTable(): (row: Row) => void {
  const lines = ["fault | count | errors | records lost | longest stall after repair"];
  afterAll(() => console.log(lines.join("\n")));
  return ({ fault, count, errors, lost, stall }) => {
    const line = `${fault} | ${count} | ${errors} | ${lost} | ${stall.toFixed(1)} s`;
    console.log(line);
    lines.push(line);
  };
}
