/** What the kill matrix counts. */
import type { TraceLine } from "../../../provider/trace";
import { resourceOf } from "./commands";

/**
 * The steps of a run so far, as they can be found again in another one, and whether each has ended: resource, command,
 * and which time it is run.
 */
export function stepsIn(trace: readonly TraceLine[]): Map<string, boolean> {
  const times = new Map<string, number>();
  const steps = new Map<string, boolean>();
  for (const line of trace) {
    const step = `${resourceOf(line)}: ${line.step}`;
    const begins = line.event === "begin";
    const time = (times.get(step) ?? 0) + (begins ? 1 : 0);
    times.set(step, time);
    steps.set(time === 1 ? step : `${step} (${time})`, !begins);
  }
  return steps;
}

/** What became of a run that was struck, and of the next. */
export interface Outcome {
  /** The struck run ended well: the harm was done to a host, and had passed before the run needed it. */
  outlived: boolean;
  /** Why the next run did not converge. */
  failure?: string;
  /** What is no longer as it was, where the next run converged: the data on a path differs, or cannot be read. */
  lost: string[];
}

/** A step that was tried. Without an outcome: over before the blow landed, or not come to, so that nothing was struck. */
export interface Tried {
  step: string;
  outcome?: Outcome;
  /** The lab or the test itself is at fault. */
  error?: string;
}

export const columns = "steps | tried | unmet | struck | outlived by the run | converged | lost";

const struckOf = (tried: readonly Tried[]): Outcome[] => tried.flatMap(({ outcome }) => outcome ?? []);

const unmetOf = (tried: readonly Tried[]): Tried[] =>
  tried.filter(({ outcome, error }) => outcome === undefined && error === undefined);

export function rowOf(steps: number, tried: readonly Tried[]): string {
  const struck = struckOf(tried);
  return [
    steps,
    tried.length,
    unmetOf(tried).length,
    struck.length,
    struck.filter(({ outlived }) => outlived).length,
    struck.filter(({ failure }) => failure === undefined).length,
    struck.filter(({ lost }) => lost.length > 0).length,
  ].join(" | ");
}

/** Why a cell fails; empty where all is well. A cell that met too few of its steps shows nothing. */
export function faultsOf(tried: readonly Tried[]): string[] {
  const unmet = unmetOf(tried);
  const few = struckOf(tried).length === 0 || unmet.length > tried.length / 4;
  return [
    ...tried.flatMap(({ step, outcome, error }) => [
      ...(error === undefined ? [] : [`${step}: ${error}`]),
      ...(outcome?.failure === undefined ? [] : [`${step}: did not converge: ${outcome.failure}`]),
      ...(outcome?.lost ?? []).map((what) => `${step}: lost: ${what}`),
    ]),
    ...(few ? [`too many steps were not met: ${unmet.map(({ step }) => step).join("; ")}`] : []),
  ];
}
