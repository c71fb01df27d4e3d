/** Create, read, update and delete over real gRPC, on a host where commands really run. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NetdiskError } from "../../provider/errors";
import { sh } from "../../provider/host/sh";
import { type ResourceType, resourceType } from "../../provider/resource";
import type { TraceLine } from "../../provider/trace";
import { unknown } from "../../provider/wire/values";
import { Secret } from "../../schema/secret";
import { type Existing, Failure, urnOf } from "./client";
import { play, type Playing } from "./playing";
import { sandbox, thing } from "./sandbox";

const urn = urnOf("testdisk");
const wish = { name: "testdisk", size: "1024 MiB" };

/** As `up` does it: check, then create. */
async function up(engine: Playing, news: Record<string, unknown> = wish): Promise<Existing> {
  const { inputs, failures } = await engine.check(urn, news);
  expect(failures).toEqual([]);
  return engine.create(urn, inputs);
}

const failureOf = async (promise: Promise<unknown>): Promise<Failure> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Failure);
  return error as Failure;
};

describe("create", () => {
  it("runs plans until none is left, and returns what is really there", async () => {
    const engine = await play();
    const created = await engine.create(urn, (await engine.check(urn, wish)).inputs);
    expect(created.id).toBe("thing/testdisk");
    expect(created.outputs).toMatchObject({
      name: "testdisk",
      size: "1024 MiB",
      cipher: "aes",
      labels: [],
      active: true,
      claimed: true,
      path: "/var/lib/netdisk/things/testdisk",
    });
    expect(engine.host.read("testdisk", "active")).toBe("true");
  });

  it("asks for a refresh before every update", async () => {
    const engine = await play();
    const created = await engine.create(urn, (await engine.check(urn, wish)).inputs);
    expect(created.refresh).toBe(true);
    expect((await engine.read(urn, created)).refresh).toBe(true);
    expect((await engine.update(urn, created, created.inputs)).refresh).toBe(true);
  });

  it("refuses what is foreign, changes nothing, and leaves no claim", async () => {
    const engine = await play();
    engine.host.write("testdisk", "foreign", "");
    const failure = await failureOf(up(engine));
    expect(failure.initFailed).toBeUndefined();
    expect(failure.message).toMatch(/^FOREIGN: sandbox .*holds a photo\. Move it away\.$/);
    expect(engine.host.read("../claims/thing", "testdisk/home.lab.json")).toBeUndefined();
    expect(engine.host.read("testdisk", "size")).toBeUndefined();
  });

  it("refuses what is hidden, naming the layer below", async () => {
    const engine = await play();
    engine.host.write("testdisk", "hidden", "");
    const failure = await failureOf(up(engine));
    expect(failure.initFailed).toBeUndefined();
    expect(failure.message).toContain("the target is stopped");
  });

  it("waits for what is on its way back, and hurries it", async () => {
    const engine = await play();
    engine.host.write("testdisk", "passing", "");
    const created = await up(engine);
    expect(created.outputs.active).toBe(true);
  });

  it("ends a plan that never comes to an end, and shows what is still planned", async () => {
    const engine = await play();
    engine.host.write("testdisk", "stuck", "");
    const failure = await failureOf(up(engine));
    expect(failure.initFailed?.reasons[0]).toMatch(/still planned: activate\./);
  });

  it("keeps id and reality when a step fails half way, and continues from there", async () => {
    const engine = await play();
    engine.host.write("testdisk", "broken", "");
    const { initFailed } = await failureOf(up(engine));
    expect(initFailed).toMatchObject({ id: "thing/testdisk", refresh: true });
    expect(initFailed!.reasons[0]).toMatch(/^COMMAND: sandbox .*: `activate` ended with status 3/);
    // The size was written, the activation was not.
    expect(initFailed!.outputs).toMatchObject({ size: "1024 MiB", active: false, claimed: true });
    const { inputs } = await engine.check(urn, wish);
    const old = { ...initFailed!, inputs };
    expect((await engine.diff(urn, old, inputs)).getDiffsList()).toEqual(["active"]);
    rmSync(engine.host.file("testdisk", "broken"));
    expect((await engine.update(urn, old, inputs)).outputs).toMatchObject({ active: true });
  });

  it("finds again what a killed run made, and does not do it twice", async () => {
    const engine = await play();
    await up(engine, { ...wish, seconds: 0 });
    await up(engine, { ...wish, seconds: 0 });
    expect(engine.host.read("testdisk", "work")).toBe("run\nend\n");
  });

  it("waits for the orphan of a killed run before it works itself", async () => {
    const first = await play();
    const inputs = (await first.check(urn, { ...wish, seconds: 2 })).inputs;
    const killed = first.create(urn, inputs).catch((error: unknown) => error);
    await expect.poll(() => first.host.read("testdisk", "work"), { timeout: 5000 }).toBe("run\n");
    // The first run does nothing any more, but its command goes on.
    first.host.transport.reachable = false;
    const second = await play(sandbox(first.host.root));
    const created = await second.create(urn, inputs);
    expect(created.outputs).toMatchObject({ active: true, size: "1024 MiB" });
    expect(second.host.read("testdisk", "work")).toBe("run\nend\nrun\nend\n");
    expect(((await killed) as Failure).initFailed).toBeDefined();
  });
});

describe("read", () => {
  it("shows drift in state and in inputs, and keeps the user's spelling", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "active", "false");
    engine.host.write("testdisk", "size", "1 GiB");
    const seen = await engine.read(urn, created);
    expect(seen.outputs).toMatchObject({ active: false, size: "1 GiB" });
    expect(seen.inputs).toMatchObject({ active: false, size: "1024 MiB" });
    const diff = await engine.diff(urn, seen, created.inputs);
    expect(diff.getDiffsList()).toEqual(["active"]);
    expect(diff.getDetaileddiffMap().get("active")?.getInputdiff()).toBe(false);
    expect(diff.getReplacesList()).toEqual([]);
    expect(diff.getDeletebeforereplace()).toBe(false);
  });

  it("says that nothing differs when nothing does", async () => {
    const engine = await play();
    const created = await up(engine);
    const seen = await engine.read(urn, created);
    expect(seen.inputs).toEqual(created.inputs);
    expect(seen.outputs).toEqual(created.outputs);
    const diff = await engine.diff(urn, seen, created.inputs);
    expect(diff.getChanges()).toBe(1);
    expect(diff.getHasdetaileddiff()).toBe(true);
  });

  it("gives no id when the thing is proven absent, and no claim of this resource is there", async () => {
    const engine = await play();
    const created = await up(engine);
    rmSync(engine.host.file("testdisk", "."), { recursive: true });
    await engine.create(urnOf("photos"), created.inputs);
    rmSync(engine.host.file("testdisk", "."), { recursive: true });
    // The claim is another resource's by now.
    expect((await engine.read(urn, created)).id).toBe("");
    rmSync(engine.host.file("../claims", "thing"), { recursive: true });
    const again = await play(engine.host);
    expect((await again.read(urn, created)).id).toBe("");
  });

  describe("of a thing that is gone, but not its claim", () => {
    /** The engine's last word of it. */
    async function gone(): Promise<{ engine: Playing; created: Existing; kept: Existing }> {
      const engine = await play();
      const created = await up(engine);
      rmSync(engine.host.file("testdisk", "."), { recursive: true });
      const { initFailed } = await failureOf(engine.read(urn, created));
      expect(initFailed).toMatchObject({ id: created.id, refresh: true });
      expect(initFailed!.reasons[0]).toMatch(
        /^UNFINISHED: sandbox .*: thing\/testdisk is not there, only this stack's claim on it\. `pulumi up` makes it, and a/,
      );
      return { engine, created, kept: initFailed! };
    }

    it("keeps the claim as all that is known, which a destroy takes away", async () => {
      const { engine, created, kept } = await gone();
      expect(kept.outputs).toEqual({ claim: created.outputs.claim, claimed: true });
      await engine.delete(urn, kept);
      expect(engine.host.read("../claims/thing/testdisk", "home.lab.json")).toBeUndefined();
    });

    it("lets `up` make it as a new one, and a preview show that", async () => {
      const { engine, created, kept } = await gone();
      const { inputs, failures } = await engine.check(urn, { ...wish, cipher: "twofish" }, kept.inputs);
      expect(failures).toEqual([]);
      expect((await engine.diff(urn, kept, inputs)).getDiffsList()).toContain("active");
      await engine.update(urn, kept, inputs, true);
      expect(engine.messages.at(-1)?.message).toMatch(/^would run: mkdir -p [^]*\nwould run: printf %s/);
      const made = await engine.update(urn, kept, inputs);
      expect(made.outputs).toEqual({ ...created.outputs, cipher: "twofish" });
      expect((await engine.read(urn, made)).inputs).toEqual(inputs);
    });

    it("lets a preview go on where it cannot be foreseen, as that of a create does", async () => {
      const { engine, kept } = await gone();
      engine.host.write("testdisk", "unreadable", "");
      await engine.update(urn, kept, (await engine.check(urn, wish)).inputs, true);
      expect(engine.messages.at(-1)?.message).toMatch(/^cannot be foreseen: [^]*garbage/);
    });

    it("is said until the thing is there again", async () => {
      const { engine, created, kept } = await gone();
      expect((await failureOf(engine.read(urn, kept))).initFailed).toMatchObject(kept);
      engine.host.write("testdisk", "size", "1024 MiB");
      const seen = await engine.read(urn, kept);
      expect(seen.outputs).toMatchObject({ size: "1024 MiB", active: false, claimed: true });
      expect(Object.keys(seen.inputs).sort()).toEqual(Object.keys(created.inputs).sort());
    });
  });

  it("keeps the last known state when hidden, and says by what", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "hidden", "");
    const { initFailed } = await failureOf(engine.read(urn, created));
    expect(initFailed).toMatchObject({
      id: created.id,
      outputs: created.outputs,
      inputs: created.inputs,
      refresh: true,
    });
    expect(initFailed!.reasons[0]).toMatch(/^UNFINISHED: .*the target is stopped/);
  });

  it("keeps the last known state where the program that shows it is missing: up installs it first", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "toolless", "");
    const { initFailed } = await failureOf(engine.read(urn, created));
    expect(initFailed).toMatchObject({ id: created.id, outputs: created.outputs, refresh: true });
    expect(initFailed!.reasons[0]).toContain("netdisk-no-such-program: not found");
  });

  it("is an error when unreadable: never absent, never state", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "unreadable", "");
    expect((await failureOf(engine.read(urn, created))).initFailed).toBeUndefined();
  });

  it("keeps the state of what is foreign now, so that the others of its stack can be worked on", async () => {
    const engine = await play();
    const created = await up(engine);
    const other = urnOf("other");
    const fine = await engine.create(other, (await engine.check(other, { ...wish, name: "other" })).inputs);
    engine.host.write("testdisk", "foreign", "");

    const { initFailed } = await failureOf(engine.read(urn, created));
    expect(initFailed).toMatchObject({
      id: created.id,
      outputs: created.outputs,
      inputs: created.inputs,
      refresh: true,
    });
    expect(initFailed!.reasons[0]).toMatch(
      /^FOREIGN: sandbox .*holds a photo\. Move it away\. Until then `pulumi up` refuses/,
    );
    expect((await failureOf(engine.update(urn, initFailed!, created.inputs))).message).toContain("a photo");

    await engine.update(other, await engine.read(other, fine), { ...fine.inputs, size: "2 GiB" });
    expect(engine.host.read("other", "size")).toBe("2 GiB");
    await engine.delete(urn, initFailed!);
    expect(engine.host.read("testdisk", "size")).toBe("1024 MiB");
  });

  it("of an import is an error when foreign", async () => {
    const engine = await play();
    const { id } = await up(engine);
    engine.host.write("testdisk", "foreign", "");
    const failure = await failureOf(engine.read(urn, { id, inputs: {}, outputs: {} }));
    expect(failure.initFailed).toBeUndefined();
  });

  it("is an error when the host cannot be reached", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.transport.reachable = false;
    const failure = await failureOf(engine.read(urn, created));
    expect(failure.initFailed).toBeUndefined();
    expect(failure.message).toMatch(/^UNREACHABLE: .*cannot be reached/);
  });

  it("imports by the id alone, from this stack's claim", async () => {
    const engine = await play();
    const created = await up(engine);
    const imported = await engine.read(urn, { id: created.id, inputs: {}, outputs: {} });
    expect(imported.inputs).toMatchObject({ name: "testdisk", size: "1024 MiB", active: true });
    expect(imported.outputs).toEqual(created.outputs);
  });

  it("costs one round trip per resource, and one for all claims", async () => {
    const engine = await play();
    const names = ["a", "b", "c", "d"];
    const created = await Promise.all(
      names.map(async (name) =>
        engine.create(urnOf(name), (await engine.check(urnOf(name), { ...wish, name })).inputs),
      ),
    );
    engine.host.transport.lines.length = 0;
    await Promise.all(created.map((it, i) => engine.read(urnOf(names[i]!), it)));
    expect(engine.host.transport.lines).toHaveLength(names.length + 1);
  });
});

describe("update", () => {
  it("works from a fresh look, not from the state", async () => {
    const engine = await play();
    const created = await up(engine);
    const { inputs } = await engine.check(urn, { ...wish, size: "2 GiB" }, created.inputs);
    engine.host.write("testdisk", "size", "2 GiB");
    engine.host.transport.lines.length = 0;
    const updated = await engine.update(urn, created, inputs);
    expect(updated.outputs).toMatchObject({ size: "2 GiB" });
    expect(engine.host.transport.lines.some((line) => line.includes("printf %s"))).toBe(false);
  });

  it("reports reality, not the wish, when it fails", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "active", "false");
    engine.host.write("testdisk", "broken", "");
    const { inputs } = await engine.check(urn, { ...wish, labels: ["x"] }, created.inputs);
    const { initFailed } = await failureOf(engine.update(urn, created, inputs));
    expect(initFailed!.outputs).toMatchObject({ active: false, labels: ["x"] });
  });
});

describe("delete", () => {
  it("removes the thing, then the claim", async () => {
    const engine = await play();
    const created = await up(engine);
    await engine.delete(urn, created);
    expect(engine.host.read("testdisk", "size")).toBeUndefined();
    expect(engine.host.read("../claims/thing/testdisk", "home.lab.json")).toBeUndefined();
    await engine.delete(urn, created);
  });

  it("does nothing for a resource that was renamed: the thing has a new owner", async () => {
    const engine = await play();
    const created = await up(engine);
    const renamed = urnOf("photos");
    await engine.check(renamed, created.inputs);
    await engine.create(renamed, created.inputs);
    await engine.delete(urn, created);
    expect(engine.messages).toEqual([]);
    expect(engine.host.read("testdisk", "active")).toBe("true");
    expect(engine.host.read("../claims/thing/testdisk", "home.lab.json")).toContain("photos");
  });

  it("says what it leaves where the run that renamed it was killed, and no program asks for it now", async () => {
    const engine = await play();
    const created = await up(engine);
    const renamed = urnOf("photos");
    await engine.create(renamed, created.inputs);
    const later = await play(engine.host);
    await later.delete(urn, created);
    expect(engine.host.read("testdisk", "active")).toBe("true");
    expect(later.messages).toMatchObject([
      { severity: "warning", message: expect.stringContaining(`by now it is that of ${renamed}`) as string },
    ]);
  });

  it("leaves foreign data alone, says so, and succeeds", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "foreign", "");
    await engine.delete(urn, created);
    expect(engine.host.read("testdisk", "size")).toBe("1024 MiB");
    expect(engine.messages).toMatchObject([
      { severity: "warning", message: expect.stringContaining("photo") as string },
    ]);
  });

  it("says in the refusal's own words that somebody uses the thing, and keeps the claim", async () => {
    const used = resourceType<typeof thing.definition>({
      ...thing,
      planRemoval: () => [
        {
          do: "run",
          title: "take it down",
          command: sh`echo "process 7 uses it. End it." >&2; exit 75`,
          inUse: 75,
        },
      ],
    });
    const engine = await play(undefined, [used]);
    const created = await up(engine);
    const { message } = await failureOf(engine.delete(urn, created));
    expect(message).toBe("IN_USE: sandbox (root@sandbox:22): process 7 uses it. End it.");
    expect(engine.host.read("../claims/thing/testdisk", "home.lab.json")).toBeDefined();
  });

  it("fails for a hidden thing that would have to be removed", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "hidden", "");
    const neverSeen = { ...created, outputs: { claim: created.outputs.claim, claimed: true } };
    for (const known of [created, neverSeen]) {
      expect((await failureOf(engine.delete(urn, known))).message).toContain("the target is stopped");
    }
    expect(engine.host.read("testdisk", "size")).toBe("1024 MiB");
  });

  it("forgets a hidden thing that is never removed, also one whose making was cut before anything was seen", async () => {
    const step = { do: "run", title: "make it", command: sh`exit 3` } as const;
    const kept = resourceType<typeof thing.definition>({
      ...thing,
      plan: () => [step],
      planRemoval: () => [],
    });
    const engine = await play(undefined, [kept]);
    const { initFailed } = await failureOf(up(engine));
    expect(Object.keys(initFailed!.outputs).sort()).toEqual(["claim", "claimed"]);
    engine.host.write("testdisk", "hidden", "");
    await engine.delete(urn, initFailed!);
    expect(engine.host.read("../claims/thing/testdisk", "home.lab.json")).toBeUndefined();
  });
});

describe("NETDISK_HOST_GONE", () => {
  it.each([
    ["SHA256:sandbox", true],
    ["SHA256:other", false],
  ])("%s: gone is %s", async (fingerprint, gone) => {
    const engine = await play();
    const created = await up(engine);
    engine.host.transport.reachable = false;
    process.env.NETDISK_HOST_GONE = fingerprint;
    try {
      if (gone) {
        expect((await engine.read(urn, created)).id).toBe("");
        await engine.delete(urn, created);
      } else {
        await failureOf(engine.read(urn, created));
        await failureOf(engine.delete(urn, created));
      }
    } finally {
      delete process.env.NETDISK_HOST_GONE;
    }
  });
});

describe("preview", () => {
  it("changes nothing, shows the commands, and leaves open what is not known", async () => {
    const engine = await play();
    const { inputs } = await engine.check(urn, wish);
    const { id, outputs } = await engine.create(urn, inputs, true);
    expect(id).toBe("");
    expect(outputs).toMatchObject({ size: "1024 MiB", active: true });
    // Certain beforehand, and not.
    expect(outputs.path).toBe("/var/lib/netdisk/things/testdisk");
    expect(outputs.sealed).toBe(unknown);
    expect(engine.host.read("testdisk", "size")).toBeUndefined();
    expect(engine.host.read("../claims", "thing")).toBeUndefined();
    expect(engine.messages[0]?.message).toContain("would run: mkdir -p /var/lib/netdisk/things/testdisk");
    expect(engine.messages[0]?.ephemeral).toBe(false);
  });

  it("shows what `up` then runs, which NETDISK_TRACE has", async () => {
    const engine = await play();
    const file = join(engine.host.root, "trace");
    process.env.NETDISK_TRACE = file;
    try {
      await engine.create(urn, (await engine.check(urn, wish)).inputs, true);
      expect(existsSync(file)).toBe(false);
      // As if it were a secret, which a command never has.
      await up(engine, { ...wish, passphrase: "testdisk/broken" });
    } finally {
      delete process.env.NETDISK_TRACE;
    }
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    const trace = lines.map((line) => JSON.parse(line) as TraceLine);
    expect(trace.map(({ event }) => event)).toEqual(trace.map((_line, i) => (i % 2 ? "done" : "begin")));
    expect(trace[0]).toMatchObject({ urn, host: "sandbox (root@sandbox:22)" });
    const begun = trace.filter(({ event }) => event === "begin").map(({ step }) => `would run: ${step}`);
    const foreseen = engine.messages[0]!.message.split("\n");
    expect(begun.slice(0, foreseen.length)).toEqual(foreseen);
    const [script, end] = trace.filter(({ step }) => step === "activate");
    expect(script!.command).toMatch(/^if test -e \S+\/things\/\*\*\*; then exit 3; fi\nif ! test -e /);
    expect(end!.command).toBeUndefined();
  });

  it("of an update takes no output for known that the change makes anew", async () => {
    const engine = await play(undefined, [{ ...thing, renewed: ["path"] } as ResourceType]);
    const created = await up(engine);
    const { outputs } = await engine.update(urn, created, created.inputs, true);
    expect(outputs.sealed).toEqual(created.outputs.sealed);
    // What is certain in any case stays so.
    expect(outputs.path).toBe(created.outputs.path);
    const sealedAnew = await play(engine.host, [{ ...thing, renewed: ["sealed"] } as ResourceType]);
    expect((await sealedAnew.update(urn, created, created.inputs, true)).outputs.sealed).toBe(unknown);
  });

  it("names the drifted property with both values", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "active", "false");
    const seen = await engine.read(urn, created);
    await engine.update(urn, seen, created.inputs, true);
    expect(engine.messages.at(-1)?.message).toMatch(/^active: false → true\nwould run: /);
    expect(engine.host.read("testdisk", "active")).toBe("false");
  });

  it("of a create does not mind a host that is not there yet", async () => {
    const engine = await play();
    engine.host.transport.reachable = false;
    const { inputs } = await engine.check(urn, wish);
    expect((await engine.create(urn, inputs, true)).outputs).toMatchObject({ size: "1024 MiB" });
  });

  it("of a create shows an answer that cannot be understood, and goes on: what it stands on may come first", async () => {
    const engine = await play();
    engine.host.write("testdisk", "unreadable", "");
    const { inputs } = await engine.check(urn, wish);
    expect((await engine.create(urn, inputs, true)).id).toBe("");
    expect(engine.messages.at(-1)?.message).toMatch(/^cannot be foreseen: [^]*garbage/);
  });

  it("of an update goes on where the program that shows the thing is missing: up installs it first", async () => {
    const engine = await play();
    const created = await up(engine);
    engine.host.write("testdisk", "toolless", "");
    await engine.update(urn, created, created.inputs, true);
    expect(engine.messages.at(-1)?.message).toMatch(
      /^cannot be foreseen: [^]*netdisk-no-such-program: not found\./,
    );
    engine.host.write("testdisk", "unreadable", "");
    expect((await failureOf(engine.update(urn, created, created.inputs, true))).message).toContain("garbage");
  });

  it("and the run itself name the host where a plan refuses", async () => {
    const refusing = resourceType<typeof thing.definition>({
      ...thing,
      plan() {
        throw new NetdiskError("CONFIG", "This will not do. Do something else.");
      },
    });
    const engine = await play(undefined, [refusing]);
    const { inputs } = await engine.check(urn, wish);
    await engine.create(urn, inputs, true);
    const { message } = await failureOf(engine.create(urn, inputs));
    const said = /sandbox \(root@sandbox:22\): This will not do\. Do something else\.$/;
    for (const text of [message, engine.messages.at(-1)?.message]) expect(text).toMatch(said);
  });

  it("of an update shows what differs, also while an input is unknown", async () => {
    const engine = await play();
    const created = await up(engine);
    const { inputs } = await engine.check(urn, { ...wish, size: unknown, labels: ["new"] });
    engine.messages.length = 0;
    await engine.update(urn, created, inputs, true);
    const said = engine.messages.map(({ message }) => message).join("\n");
    expect(said).toBe('size: "1024 MiB" → <known later>\nlabels: [] → ["new"]');
  });

  it("reaches nobody while an input or the host is unknown", async () => {
    const engine = await play();
    const { inputs, failures } = await engine.check(urn, { ...wish, size: unknown });
    expect(failures).toEqual([]);
    await engine.create(urn, inputs, true);
    await engine.configure({ role: "server", connection: "ssh", host: unknown });
    await engine.create(urn, (await engine.check(urn, wish)).inputs, true);
    expect(engine.host.transport.lines).toEqual([]);
  });
});

describe("a host that is neither Debian nor Ubuntu", () => {
  const fedora =
    'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=32\nPRETTY_NAME="Fedora Linux 32 (Workstation Edition)"\n';
  const refusal =
    "CONFIG: sandbox (root@sandbox:22) is Fedora Linux 32 (Workstation Edition); nothing was changed there, " +
    "because netdisk works with apt and systemd: use a host with Debian or Ubuntu.";

  it("is refused in one sentence, by preview and up, before anything is changed", async () => {
    const engine = await play();
    writeFileSync(join(engine.host.root, "etc/os-release"), fedora);
    const { inputs } = await engine.check(urn, wish);
    for (const preview of [true, false]) {
      const failure = await failureOf(engine.create(urn, inputs, preview));
      expect([failure.message, failure.initFailed]).toEqual([refusal, undefined]);
    }
    expect(existsSync(join(engine.host.root, "var/lib/netdisk/claims"))).toBe(false);
  });

  it("as is one without systemd; asked again once the host is another", async () => {
    const engine = await play();
    const booted = join(engine.host.root, "run/systemd/system");
    rmSync(booted, { recursive: true });
    expect((await failureOf(up(engine))).message).toContain("is Debian, not run by systemd; nothing was");
    mkdirSync(booted);
    await up(engine);
  });
});

describe("a host that lacks what a type needs", () => {
  const refusing = resourceType<typeof thing.definition>({
    ...thing,
    suitable: (host) =>
      Promise.reject(new NetdiskError("CONFIG", `${host.label} is too old; take another one.`)),
  });

  it("is refused by the preview, also before all wishes are known, and by up before anything is changed", async () => {
    const engine = await play(undefined, [refusing]);
    for (const [size, preview] of [
      [unknown, true],
      ["1 GiB", true],
      ["1 GiB", false],
    ] as const) {
      const { inputs } = await engine.check(urn, { ...wish, size });
      const failure = await failureOf(engine.create(urn, inputs, preview));
      expect([failure.message, failure.initFailed]).toEqual([
        "CONFIG: sandbox (root@sandbox:22) is too old; take another one.",
        undefined,
      ]);
    }
    expect(existsSync(join(engine.host.root, "var/lib/netdisk/claims"))).toBe(false);
  });
});

describe("first contact", () => {
  it("waits for a booting host in a create, not in a read", async () => {
    const engine = await play();
    const created = await up(engine);
    await engine.configure({ role: "server", connection: "ssh", host: "sandbox", bootTimeout: "300" });
    engine.host.opened.length = 0;
    await engine.read(urn, created);
    await engine.create(urn, created.inputs);
    await engine.read(urn, created);
    expect(engine.host.opened).toEqual([{ bootTimeoutMs: 0 }, { bootTimeoutMs: 300_000 }]);
  });
});

describe("secrets", () => {
  it("come in and go out as secrets, and nowhere else", async () => {
    const engine = await play();
    const passphrase = new Secret("correct horse battery");
    const { inputs } = await engine.check(urn, {
      ...wish,
      size: new Secret("1 GiB"),
      seconds: 3,
      passphrase,
    });
    expect(inputs.passphrase).toBeInstanceOf(Secret);
    expect(inputs.size).toBeInstanceOf(Secret);
    const { outputs } = await engine.create(urn, inputs);
    expect((outputs.sealed as Secret).reveal()).toBe("sealed-testdisk");
    expect((outputs.size as Secret).reveal()).toBe("1 GiB");
    expect(outputs.passphrase).toBeUndefined();
    // The fake tool printed it; the progress line masks it.
    expect(engine.messages.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^work \(\d s\): \*\*\*$/),
    );
    const said = JSON.stringify([engine.messages, engine.host.transport.lines]);
    expect(said).not.toContain("correct horse");
    expect(engine.host.read("../claims/thing/testdisk", "home.lab.json")).not.toMatch(/horse|GiB/);
  });
});
