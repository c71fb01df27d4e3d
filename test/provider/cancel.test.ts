/** Ctrl-C, time limits and progress. */
import { describe, expect, it } from "vitest";
import type { Failure } from "./client";
import { urnOf } from "./client";
import { play } from "./playing";

const urn = urnOf("testdisk");
const wish = { name: "testdisk", size: "1 GiB", seconds: 20 };

describe("cancel", () => {
  it("ends the running command on the host and reports what is there", async () => {
    const engine = await play();
    const { inputs } = await engine.check(urn, wish);
    const creating = engine.create(urn, inputs).catch((error: unknown) => error);
    await expect.poll(() => engine.host.read("testdisk", "work"), { timeout: 5000 }).toBe("run\n");
    const start = Date.now();
    await engine.cancel();
    const failure = (await creating) as Failure;
    expect(Date.now() - start).toBeLessThan(5000);
    expect(failure.initFailed).toMatchObject({ id: "thing/testdisk", refresh: true });
    expect(failure.initFailed!.reasons[0]).toContain("was ended on the host");
    // Cut off before the size was written.
    expect(failure.initFailed!.outputs).toMatchObject({ size: "1 B", active: false, claimed: true });
    // Nothing of it is left: the next run has the lock at once and ends what was begun.
    const next = await play(engine.host);
    const { inputs: quick } = await next.check(urn, { ...wish, seconds: 0 });
    const { outputs } = await next.create(urn, quick);
    expect(outputs).toMatchObject({ size: "1 GiB", active: true });
  });

  it("does nothing to a provider that has nothing in flight", async () => {
    const engine = await play();
    await engine.cancel();
    const { inputs } = await engine.check(urn, { ...wish, seconds: undefined });
    expect((await engine.create(urn, inputs)).outputs).toMatchObject({ active: true });
  });
});

describe("progress", () => {
  it("is said for steps longer than two seconds, with the last line of output, and not for others", async () => {
    const engine = await play();
    const { inputs } = await engine.check(urn, { ...wish, seconds: 4, passphrase: "eight characters" });
    await engine.create(urn, inputs);
    expect(engine.messages.length).toBeGreaterThanOrEqual(2);
    for (const { message, ephemeral, urn: of } of engine.messages) {
      expect(message).toMatch(/^work \(\d s\): \*\*\*$/);
      expect({ ephemeral, of }).toEqual({ ephemeral: true, of: urn });
    }
  });
});
