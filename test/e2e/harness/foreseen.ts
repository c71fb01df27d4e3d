/** Whether `up` ran the commands that the preview before it had shown. */
import { rmSync } from "node:fs";
import { expect } from "vitest";
import { resourceOf, traceLines } from "./commands";
import { foreseenSteps, type Steps } from "./previewText";
import { pulumi, traceFile } from "./project";

/** What need not be the same, and why; a resource is `TYPE (NAME)`. */
interface Exception {
  resource: RegExp;
  step: RegExp;
  why: string;
}

/** Foreseen, and not run: a step of another resource, which is run before, has made it needless. */
export const needless: readonly Exception[] = [];

/** Run, and not foreseen. */
export const later: readonly Exception[] = [];

const isExcused = (exceptions: readonly Exception[], resource: string, step: string): boolean =>
  exceptions.some((exception) => exception.resource.test(resource) && exception.step.test(step));

/** In words, what a run did otherwise than its preview had shown, in steps or their order. */
export function surprises(foreseen: Steps, ran: Steps): string[] {
  const found: string[] = [];
  for (const resource of new Set([...foreseen.keys(), ...ran.keys()])) {
    const did = [...(ran.get(resource) ?? [])];
    for (const step of foreseen.get(resource) ?? []) {
      if (did[0] === step) did.shift();
      else if (!isExcused(needless, resource, step)) found.push(`${resource} did not run: ${step}`);
    }
    for (const step of did)
      if (!isExcused(later, resource, step)) found.push(`${resource} ran unforeseen: ${step}`);
  }
  return found;
}

function ranSteps(): Steps {
  const steps: Steps = new Map();
  for (const line of traceLines()) {
    const resource = resourceOf(line);
    if (line.event === "begin") steps.set(resource, [...(steps.get(resource) ?? []), line.step]);
  }
  return steps;
}

/** `up` after this preview; returns what it said. */
export async function upAsForeseen(preview: string): Promise<string> {
  rmSync(traceFile, { force: true });
  const { code, output } = await pulumi(["up", "--yes", "--skip-preview"], { NETDISK_TRACE: traceFile });
  expect(code, output).toBe(0);
  const foreseen = foreseenSteps(preview);
  expect(foreseen.size, preview).toBeGreaterThan(0);
  expect.soft(surprises(foreseen, ranSteps())).toEqual([]);
  return output;
}
