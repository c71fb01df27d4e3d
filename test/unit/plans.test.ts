/**
 * Every plan against recorded observations. A case is `plans/<Type>/<case>.yaml`: `observed`, `inputs`
 * (defaults are filled in from the definition), `known`, `removal`, and `steps` or `error`. A step names its
 * `title` and what else is to be compared: `command`, `path`, `content`, `mode`, `owner`, `lock`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Observed, ResourceType, Step } from "../../provider/resource";
import { Secret } from "../../schema/secret";
import { caseFiles } from "./caseFiles";

interface PlanCase {
  observed: Observed<ResourceType["definition"]>;
  inputs?: Record<string, unknown>;
  known?: { name?: string; state?: Record<string, unknown> };
  removal?: boolean;
  steps?: Record<string, unknown>[];
  error?: string;
}

const isType = (value: unknown): value is ResourceType =>
  typeof value === "object" && value !== null && "definition" in value && "plan" in value;

async function loadTypes(): Promise<Map<string, ResourceType>> {
  const folder = join(__dirname, "../../provider/resources");
  const types = new Map<string, ResourceType>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts"))) {
    const module = (await import(join(folder, file))) as Record<string, unknown>;
    for (const type of Object.values(module).filter(isType)) {
      types.set(type.definition.token.replace("netdisk:index:", ""), type);
    }
  }
  return types;
}

function withDefaults(type: ResourceType, wishes: Record<string, unknown>): Record<string, unknown> {
  const inputs: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(type.definition.inputs)) {
    const value = field.schema.parse(wishes[key]);
    inputs[key] = field.secret && value !== undefined ? new Secret(value) : value;
  }
  return inputs;
}

/** Secrets are secrets in what is observed, too. */
function withSecrets<O extends PlanCase["observed"]>(type: ResourceType, observed: O): O {
  if (observed.is !== "present") return observed;
  const state = Object.entries(observed.state as Record<string, unknown>).map(([key, value]) => [
    key,
    type.definition.outputs[key]?.secret === true ? new Secret(value) : value,
  ]);
  return { ...observed, state: Object.fromEntries(state) as unknown };
}

/** The step reduced to the properties that the case names, so that a case says only what it is about. */
function pick(step: Step, like: Record<string, unknown>): Record<string, unknown> {
  const flat: Record<string, unknown> = {
    ...step,
    ...(step.do === "run"
      ? { command: step.command.text.trim() }
      : { mode: step.mode.toString(8).padStart(4, "0") }),
  };
  return Object.fromEntries(Object.keys(like).map((key) => [key, flat[key]]));
}

const types = await loadTypes();
const cases = caseFiles<PlanCase>("plans");

describe("every type has a plan case that does nothing", () => {
  it.each([...types.keys()])("%s", (token) => {
    const idle = cases.filter(
      (it) => it.subject === token && !it.data.removal && it.data.steps?.length === 0,
    );
    expect(idle.length, `no idempotent case (steps: []) in plans/${token}`).toBeGreaterThan(0);
  });
});

describe.each(cases)("$subject/$name", (one) => {
  it("plans", () => {
    const { subject, data } = one;
    const type = types.get(subject);
    if (!type) throw new Error(`no resource type is called ${subject}`);
    const inputs = withDefaults(type, data.inputs ?? {}) as never;
    const known = { ...data.known, name: data.known?.name ?? type.name(inputs) } as never;
    const observed = withSecrets(type, data.observed);
    const plan = (): Step[] =>
      data.removal ? type.planRemoval(observed, inputs, known) : type.plan(observed, inputs, known);
    expect("steps" in data !== "error" in data, "a case has either steps or error").toBe(true);
    if (data.error !== undefined) {
      expect(plan).toThrow(data.error);
      return;
    }
    const wanted = data.steps ?? [];
    const steps = plan();
    expect(steps.map(({ title }) => title)).toEqual(wanted.map(({ title }) => title));
    expect(steps.map((step, i) => pick(step, wanted[i] ?? {}))).toEqual(
      wanted.map((step) => ("command" in step ? { ...step, command: String(step.command).trim() } : step)),
    );
  });
});
