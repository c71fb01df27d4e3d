/** Ctrl-C, time limits and progress. */
import { describe, expect, it } from "vitest";
import { sh } from "../../provider/host/sh";
import type { ResourceType } from "../../provider/resource";
import type { Failure } from "./client";
import { urnOf } from "./client";
import { play } from "./playing";
import { thing } from "./sandbox";

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

describe("a look that takes long", () => {
  /** As a disk whose key slots are slow: every look waits for a derivation. */
  const slow = async () => {
    const quick = await play();
    const { host } = quick;
    const created = await quick.create(urn, (await quick.check(urn, { ...wish, seconds: 0 })).inputs);
    const observe: typeof thing.observe = async (on, inputs, known) => {
      await on.exec(sh`echo began >>${"/var/lib/netdisk/looks"}; sleep 30`, { reads: true });
      return thing.observe(on, inputs, known);
    };
    const engine = await play(host, [{ ...thing, observe } as ResourceType]);
    return {
      engine,
      host,
      created,
      preview: () => engine.update(urn, created, { ...created.inputs, size: "2 GiB" }, true),
    };
  };

  it("ends neither the preview of an update nor, with that, the run: it says what it knows", async () => {
    const { engine, preview } = await slow();
    const begin = Date.now();
    expect((await preview()).outputs).toMatchObject({ size: "2 GiB" });
    expect(Date.now() - begin).toBeLessThan(10_500);
    expect(engine.messages.at(-1)?.message).toMatch(
      /^size: "1 GiB" → "2 GiB"\ncannot be foreseen: a look at sandbox .* takes longer than 9 s/,
    );
  });

  it("ends with Ctrl-C all the same", async () => {
    const { engine, host, preview } = await slow();
    const failed = preview().catch((error: unknown) => error as Failure);
    await expect.poll(() => host.read("..", "looks"), { timeout: 5000 }).toBe("began\n");
    await engine.cancel();
    expect(((await failed) as Failure).message).toContain("cancelled");
    expect(engine.messages).toEqual([]);
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
