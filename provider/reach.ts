/** Observe → plan → run, until the plan is empty: how every create, update and delete gets there. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Definition, Inputs, State } from "../schema/define";
import { lockOf } from "./claims";
import { fulfilled } from "./diff";
import { foreign, NetdiskError } from "./errors";
import type { Host } from "./host/host";
import { type Command, sh } from "./host/sh";
import type { Progress } from "./progress";
import type { Known, Observation, Observed, ResourceType, Step } from "./resource";
import type { Properties } from "./wire/values";

/** One resource, as one request of the engine works on it. */
export interface Work {
  type: ResourceType;
  host: Host;
  wishes: Inputs<Definition>;
  known: Known<Definition>;
  progress: Progress;
  /** Called before the first step that changes the host. */
  begin?: () => void;
  /** Asked at the beginning of each command, under the thing's lock: where it is so, that ends there, and throws StillUsed. */
  unless?: Command;
}

/** Another stack has come to the thing that was to be removed. */
export class StillUsed extends Error {}

const stillUsed = "netdisk: still used";

/** More would mean that the host undoes what a step does. */
const maxRounds = 12;
const defaultStepMs = 120_000;

/** How long what is hidden for a moment is waited for, and how long between two looks. */
const passingMs = 45_000;
const lookAgainMs = 2000;

export const idOf = ({ type, known }: Pick<Work, "type" | "known">): string =>
  `${type.definition.kind}/${known.name}`;

/** Says what a person should hear of a thing that is in order, or of where it will be. `said`: what need not be said again. */
export function remark(
  { host, progress }: Pick<Work, "host" | "progress">,
  look: Observation<unknown>,
  said = new Set<string>(),
): void {
  if (look.is === "foreign" || look.is === "hidden") return;
  const { note, warning } = { note: undefined, ...look };
  if (note !== undefined && !said.has(note)) progress.say(`${host.label}: ${note}`);
  if (warning !== undefined && !said.has(warning)) progress.say(`${host.label}: ${warning}.`, "warning");
  for (const text of [note, warning]) if (text !== undefined) said.add(text);
}

/** Foreign and hidden end the work: nothing is planned on what is not understood. */
function plannable(
  { host, ...work }: Work,
  observation: Observation<State<Definition>>,
): Observed<Definition> {
  if (observation.is === "foreign") throw foreign(host.label, observation.what, observation.cure);
  if (observation.is === "hidden") {
    throw new NetdiskError(
      "UNFINISHED",
      `${host.label}: ${idOf(work)} cannot be seen: ${observation.by}. ` +
        "Bring that back first; `pulumi up` does it when the layer below is part of the same stack.",
    );
  }
  return observation;
}

/**
 * What is on its way back, mostly because a layer below was mended a moment ago by this same run, is waited for. Only
 * towards a wish: a removal of what has no server has another answer.
 */
async function afterPassing(
  work: Work,
  look: Observation<State<Definition>>,
  observe: () => Promise<Observation<State<Definition>>>,
): Promise<Observation<State<Definition>>> {
  let hurried = false;
  const end = Date.now() + passingMs;
  while (look.is === "hidden" && look.passing && Date.now() < end) {
    const { hurry } = look.passing;
    if (hurry && !hurried) await runStep(work, hurry);
    hurried ||= hurry !== undefined;
    await work.progress.during(`wait: ${look.by}`, () => sleep(lookAgainMs));
    look = await observe();
  }
  return look;
}

/** Commands on one line and of a readable length as they are, longer ones by their title; a trace has them whole. */
export function describe(step: Step): string {
  if (step.do === "write") return `write ${step.path} (mode ${step.mode.toString(8).padStart(4, "0")})`;
  const { text } = step.command;
  return text.includes("\n") || text.length > 160 ? step.title : text;
}

/**
 * What is there before the stack knows of it is taken over as it is: what can never change must be as wished, or the
 * next run would refuse what this one did.
 */
function refuseOther(
  { type, wishes, known }: Pick<Work, "type" | "wishes" | "known">,
  observed: Observed<Definition>,
) {
  if (known.state !== undefined || observed.is !== "present") return;
  const state: Properties = observed.state;
  for (const [key, field] of Object.entries(type.definition.inputs)) {
    const [seen, wish] = [state[key], (wishes as Properties)[key]];
    if (field.role !== "fixed" || field.growable || seen === undefined || field.secret) continue;
    if (fulfilled(type, key, field, state, wishes)) continue;
    throw new NetdiskError(
      "CONFIG",
      `${idOf({ type, known })} is there already, with ${key} ${JSON.stringify(seen)} and not ${JSON.stringify(wish)}. ${field.cure ?? "Keep it."}`,
    );
  }
}

/** The steps; a plan that refuses knows no host, so its error gets the name here. */
export function planned(
  { type, host, wishes, known }: Pick<Work, "type" | "host" | "wishes" | "known">,
  goal: "plan" | "planRemoval",
  observed: Observed<Definition>,
): Step[] {
  try {
    if (goal === "plan") refuseOther({ type, wishes, known }, observed);
    return type[goal](observed, wishes, known);
  } catch (error) {
    if (!(error instanceof NetdiskError)) throw error;
    throw new NetdiskError(error.code, `${host.label}: ${error.message}`, { cause: error });
  }
}

async function runStep(work: Work, step: Step): Promise<void> {
  const trace = (event: "begin" | "done" | "failed", command?: string) =>
    work.progress.trace({ event, host: work.host.label, step: describe(step), command });
  trace("begin", step.do === "run" ? step.command.text : undefined);
  try {
    await carryOut(work, step);
  } catch (error) {
    trace("failed");
    throw error;
  }
  trace("done");
}

async function carryOut({ type, host, known, progress, unless }: Work, step: Step): Promise<void> {
  const own = lockOf(type.definition, known.name);
  await progress.during(step.title, async (onLine) => {
    if (step.do === "write") {
      await host.writeFile(step.path, step.content, { mode: step.mode, owner: step.owner });
    } else {
      const command = unless
        ? sh`if ${unless}; then echo ${stillUsed}; exit 0; fi
${step.command}`
        : step.command;
      const said = await host.run(command, {
        title: describe(step),
        stdin: step.stdin,
        timeoutMs: step.timeoutMs ?? defaultStepMs,
        inUse: step.inUse,
        // Always in this order, so that two never wait for each other.
        lock: step.lock === undefined ? own : [own, step.lock],
        onLine,
      });
      if (unless && said === `${stillUsed}\n`) throw new StillUsed(stillUsed);
      if (step.report) progress.say(`${host.label}: ${said.trim()}`);
    }
  });
}

/**
 * @param first What a look has just shown, to save another one.
 * @throws NetdiskError UNFINISHED naming what is still planned after many rounds.
 */
export async function reach(
  work: Work,
  goal: "plan" | "planRemoval",
  first?: Observation<State<Definition>>,
): Promise<Observed<Definition>> {
  const { type, host, wishes, known, progress } = work;
  const observe = () => progress.during("look", () => type.observe(host, wishes, known));
  const said = new Set<string>();
  for (let round = 1; ; round++) {
    const seen = round === 1 && first ? first : await observe();
    const look = goal === "plan" ? await afterPassing(work, seen, observe) : seen;
    const observed = plannable(work, look);
    // Of what is known already, each run's read says it.
    if (goal === "plan" && known.state === undefined) remark(work, look, said);
    const steps = planned(work, goal, observed);
    if (steps.length === 0) return observed;
    if (round > maxRounds) {
      throw new NetdiskError(
        "UNFINISHED",
        `${host.label}: ${idOf(work)} is not as wished after ${maxRounds} rounds; still planned: ` +
          `${steps.map((step) => step.title).join("; ")}. ` +
          "Something on the host undoes these steps; find it, then run `pulumi up` again.",
      );
    }
    for (const step of steps) {
      work.begin?.();
      await runStep(work, step);
    }
  }
}
