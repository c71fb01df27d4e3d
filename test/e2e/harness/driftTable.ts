/** The rows of drift.yaml. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { HostName } from "./lab";

export interface Drift {
  name: string;
  batch?: number;
  on: HostName;
  /** The name of the resource that `names` are about. */
  of: string;
  do: string;
  /** `TYPE` or `TYPE property`. */
  names: string[];
  heals?: boolean;
  /** Proof of the repair: files that are as they were before. */
  restores?: string[];
  /** Proof of the repair: a command that says what it said before. */
  same?: string;
  /** Proof of the repair: a command that succeeds. */
  check?: string;
  /** What `up` says where only the user can mend it, and what the user then does. */
  refused?: string;
  undo?: string;
  /** On hosts with `moreDisks`. */
  more?: boolean;
}

export const drifts = parse(readFileSync(join(__dirname, "../drift.yaml"), "utf8")) as Drift[];

/** Rows that are made, named and repaired together, and those that are refused. */
function table(rows: readonly Drift[]) {
  const batches = [...new Set(rows.flatMap(({ batch }) => batch ?? []))]
    .sort((a, b) => a - b)
    .map((batch) => {
      const together = rows.filter((row) => row.batch === batch);
      return { batch, rows: together, what: together.map(({ name }) => name).join("; ") };
    });
  return { batches, refused: rows.filter(({ refused }) => refused !== undefined) };
}

export const ofOneDisk = table(drifts.filter(({ more }) => more !== true));
export const ofMoreDisks = table(drifts.filter(({ more }) => more === true));
