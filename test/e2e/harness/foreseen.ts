/** Whether `up` ran the commands that the preview before it had shown. */
import { rmSync } from "node:fs";
import { expect } from "vitest";
import { resourceOf, traceLines } from "./commands";
import { addStep, foreseenSteps, type Steps } from "./previewText";
import { pulumi, traceFile } from "./project";

/** What need not be the same, and why; a resource is `TYPE (NAME)`. */
interface Exception {
  resource: RegExp;
  step: RegExp;
  why: string;
}

/** Foreseen, and not run: a step of another resource, which is run before, has made it needless. */
const needless: readonly Exception[] = [
  {
    resource: /^(Attachment|Mapping|Mount|DiskTarget) /,
    step: /^systemctl (re)?start netdisk/,
    why: "a link of the chain that is started again takes along what is above it",
  },
  {
    resource: /^(ServerConfig|Service|AuthFile|Export) /,
    step: /^systemctl \S*(restart|reload|start) nbd-server\.service( \|\||$)/,
    why: "it is restarted once, by the first of those that it has to read anew",
  },
];

/** Run, and not foreseen. */
const later: readonly Exception[] = [
  {
    resource: /^ServerConfig /,
    step: /^cp \S+ \S+\.before-netdisk$/,
    why: "the package that the same run installs brings the file which is kept",
  },
  {
    resource: /^(Luks|Mapping|Filesystem|Mount) /,
    step: /netdisk-helper ask \S+ resume /,
    why: "a session that still waits for its next dial is told that the run has mended what is below it",
  },
];

/** Of these nothing may have been foreseen, because an input is an output of what the same run changes. */
const unknown: readonly Omit<Exception, "step">[] = [
  {
    resource: /^(AuthorizedKey|Serve) /,
    why: "its `publicKey` is the tunnel key's, which is another when it is made anew",
  },
  { resource: /^Recovery /, why: "its `keySlot` is the container's, which is looked at anew" },
  { resource: /^Attachment /, why: "its `revision` is the export's, which is another after a change" },
];

const isExcused = (exceptions: readonly Exception[], resource: string, step: string): boolean =>
  exceptions.some((exception) => exception.resource.test(resource) && exception.step.test(step));

/** In words, what a run did otherwise than its preview had shown, in steps or their order. */
export function surprises(foreseen: Steps, ran: Steps): string[] {
  const found: string[] = [];
  for (const resource of new Set([...foreseen.keys(), ...ran.keys()])) {
    const shown = foreseen.get(resource) ?? [];
    if (shown.length === 0 && unknown.some((exception) => exception.resource.test(resource))) continue;
    const did = (ran.get(resource) ?? []).filter(
      (step) => shown.includes(step) || !isExcused(later, resource, step),
    );
    for (const step of shown) {
      if (did[0] === step) did.shift();
      else if (!isExcused(needless, resource, step)) found.push(`${resource} did not run: ${step}`);
    }
    for (const step of did) found.push(`${resource} ran unforeseen: ${step}`);
  }
  return found;
}

function ranSteps(): Steps {
  const steps: Steps = new Map();
  for (const line of traceLines()) if (line.event === "begin") addStep(steps, resourceOf(line), line.step);
  return steps;
}

/**
 * `up` after this preview; returns what it said.
 *
 * @param isFirst Nothing was made yet, so what stands on what this run makes could not be foreseen.
 */
export async function upAsForeseen(preview: string, isFirst = false): Promise<string> {
  rmSync(traceFile, { force: true });
  const { code, output } = await pulumi(["up", "--yes", "--skip-preview"], { NETDISK_TRACE: traceFile });
  expect(code, output).toBe(0);
  const foreseen = foreseenSteps(preview);
  if (isFirst) expect(foreseen.size, preview).toBeGreaterThan(0);
  const ran = ranSteps();
  if (isFirst) for (const resource of ran.keys()) if (!foreseen.has(resource)) ran.delete(resource);
  const found = surprises(foreseen, ran);
  // A suite of many runs tells the rest at its end only.
  for (const surprise of found) console.log(surprise);
  expect.soft(found).toEqual([]);
  return output;
}
