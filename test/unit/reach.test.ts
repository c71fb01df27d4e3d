/** What a run does about a thing that is hidden: wait for what passes, for a while, and for nothing else. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Host } from "../../provider/host/host";
import { sh } from "../../provider/host/sh";
import { reach, type Work } from "../../provider/reach";
import type { Hidden, Observation, ResourceType } from "../../provider/resource";

let now = 0;
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => {
    now += ms;
    return Promise.resolve();
  },
}));

beforeEach(() => {
  now = 0;
  vi.spyOn(Date, "now").mockImplementation(() => now);
});

type Look = Observation<Record<string, never>>;

/** A run on a thing that looks as `looks` say, the last one for ever; what is run on the host is noted. */
function run(...looks: [Look, ...Look[]]) {
  const ran: string[] = [];
  let asked = 0;
  const host = {
    label: "box",
    run: ({ text }: { text: string }) => {
      ran.push(text);
      return Promise.resolve("");
    },
  } as unknown as Host;
  const type = {
    definition: { kind: "thing", inputs: {}, conditions: {}, outputs: {} },
    observe: () => Promise.resolve(looks[Math.min(asked++, looks.length - 1)]),
    plan: () => [],
    planRemoval: () => [],
  } as unknown as ResourceType;
  const work: Work = {
    type,
    host,
    wishes: {},
    known: { name: "t1" },
    progress: {
      during: (_title, job) => job(() => undefined),
      trace: () => undefined,
      say: () => undefined,
    },
  };
  return { work, ran, asked: () => asked };
}

const present: Look = { is: "present", state: {} };
const parked: Hidden = {
  is: "hidden",
  by: "its session is parked",
  passing: { hurry: { do: "run", title: "hurry", command: sh`hurry` } },
};

describe("a thing that is hidden", () => {
  it("is waited for while it passes, and hurried once", async () => {
    const { work, ran } = run(parked, parked, parked, present);
    await expect(reach(work, "plan")).resolves.toBe(present);
    expect(ran).toEqual(["hurry"]);
    expect(now).toBe(6000);
  });

  it("is given up after a while, with the reason", async () => {
    const { work } = run(parked);
    await expect(reach(work, "plan")).rejects.toThrow(
      /^box: thing\/t1 cannot be seen: its session is parked\./,
    );
    expect(now).toBeGreaterThanOrEqual(40_000);
    expect(now).toBeLessThan(60_000);
  });

  it("is not waited for where nothing brings it back, nor to remove it", async () => {
    const stopped = run({ is: "hidden", by: "the target is stopped" });
    await expect(reach(stopped.work, "plan")).rejects.toThrow("the target is stopped");
    const removed = run(parked);
    await expect(reach(removed.work, "planRemoval")).rejects.toThrow("its session is parked");
    expect([now, stopped.asked(), removed.asked(), ...removed.ran]).toEqual([0, 1, 1]);
  });
});

it("a warning is said once, of what is not there yet, too", async () => {
  const { work } = run(
    { is: "absent", warning: "3 entries will be hidden" },
    { is: "absent", warning: "3 entries will be hidden" },
  );
  const say = vi.spyOn(work.progress, "say");
  await reach(work, "plan");
  expect(say.mock.calls).toEqual([["box: 3 entries will be hidden.", "warning"]]);
});
