/** Several stacks, runs and resources that want the same thing of one host. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ask } from "../../provider/fact";
import { claims } from "../../provider/facts/claims";
import { sh } from "../../provider/host/sh";
import { ShellHost } from "../../provider/host/shell";
import { resourceType } from "../../provider/resource";
import { type Existing, type Failure, urnOf } from "./client";
import { play, type Playing } from "./playing";
import { sandbox, thing } from "./sandbox";

const urn = urnOf("testdisk");
const elsewhere = urnOf("testdisk", { stack: "prod", project: "other" });
const wish = { name: "testdisk", size: "1 GiB" };
const claim = "../claims/thing/testdisk";

const shared = resourceType<typeof thing.definition>({
  ...thing,
  definition: { ...thing.definition, shared: true },
});

const up = async (engine: Playing, as = urn, news: Record<string, unknown> = wish): Promise<Existing> =>
  engine.create(as, (await engine.check(as, news)).inputs);

/** What a read leaves in the state of a thing that is gone, but not its claim. */
async function lastWord(engine: Playing, as: string, known: Existing): Promise<Existing> {
  const failure: unknown = await engine.read(as, known).catch((error: unknown) => error);
  return (failure as Failure).initFailed!;
}

describe("an exclusive thing", () => {
  it("of another stack is refused by name, and stays as it is", async () => {
    const mine = await play();
    const theirs = await play(mine.host);
    const created = await up(mine);
    await expect(up(theirs, elsewhere, { ...wish, size: "2 GiB" })).rejects.toThrow(
      /belongs to the stack home\/lab \(urn:pulumi:lab::home::.*Destroy it there first; .*claims\/thing\/testdisk\/home\.lab\.json/,
    );
    expect(mine.host.read("testdisk", "size")).toBe("1 GiB");
    expect(mine.host.read(claim, "other.prod.json")).toBeUndefined();
    // Neither can the other stack read, preview or delete it, whatever its state says.
    const lost = { ...created, outputs: { ...created.outputs, claim: "of before" } };
    await expect(theirs.read(elsewhere, lost)).rejects.toThrow(/belongs to the stack home\/lab/);
    await expect(theirs.create(elsewhere, created.inputs, true)).rejects.toThrow(
      /belongs to the stack home\/lab/,
    );
    await theirs.delete(elsewhere, lost);
    expect(mine.host.read("testdisk", "active")).toBe("true");
    expect(theirs.messages.at(-1)).toMatchObject({
      severity: "warning",
      message:
        "sandbox (root@sandbox:22): thing/testdisk is left as it is: it belongs to the stack home/lab by now.",
    });
  });

  it("is taken over by the same stack under another name, as drift of the old one", async () => {
    const engine = await play();
    const created = await up(engine);
    await engine.create(urnOf("renamed"), created.inputs);
    const seen = await engine.read(urn, created);
    expect(seen.outputs).toMatchObject({ claimed: false, claim: created.outputs.claim });
    expect((await engine.diff(urn, seen, created.inputs)).getDiffsList()).toEqual(["claimed"]);
  });

  it("whose claim was removed by hand gets it again by an update", async () => {
    const engine = await play();
    const created = await up(engine);
    rmSync(engine.host.file(claim, "home.lab.json"));
    const again = await play(engine.host);
    const seen = await again.read(urn, created);
    expect(seen.outputs.claimed).toBe(false);
    const updated = await again.update(urn, seen, created.inputs);
    expect(updated.outputs).toMatchObject({ claimed: true, claim: created.outputs.claim });
    expect(engine.host.read(claim, "home.lab.json")).toContain(String(created.outputs.claim));
  });

  it("is refused to a second resource of the same stack, before anything runs", async () => {
    const engine = await play();
    await engine.check(urn, wish);
    expect((await engine.check(urnOf("copy"), wish)).failures).toEqual([
      { property: "name", reason: expect.stringContaining(`already managed by ${urn}`) as string },
    ]);
    expect((await engine.check(urn, wish)).failures).toEqual([]);
  });
});

it("a preview says that a stack of this name has the thing, of which its state does not know", async () => {
  const engine = await play();
  const { inputs } = await up(engine);
  const elsewhere = await play(engine.host);
  await elsewhere.create(urn, inputs, true);
  expect(elsewhere.messages.at(-1)?.message).toMatch(
    /taken over as it is\na stack home\/lab has it that this state does not know: .* in another backend uses it, give this one another name$/,
  );
  // A resource that has another name has its claim, and no such question.
  await elsewhere.create(urnOf("photos"), inputs, true);
  expect(elsewhere.messages.at(-1)?.message).toBe(
    "thing/testdisk is there already, and is taken over as it is",
  );
});

describe.each([
  ["an exclusive thing", thing],
  ["a shared thing", shared],
])("%s of a stack that was renamed", (_, type) => {
  const renamed = urnOf("testdisk", { stack: "prod" });
  const files = (engine: Playing) => {
    const folder = engine.host.file(claim, ".");
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  it("is its own by the nonce in the state; the next run writes the claim under the new name", async () => {
    const engine = await play(undefined, [type]);
    const created = await up(engine);
    const again = await play(engine.host, [type]);
    const seen = await again.read(renamed, created);
    const { inputs } = await again.check(renamed, { ...wish, size: "2 GiB" }, created.inputs);
    expect((await again.diff(renamed, seen, inputs)).getDiffsList().sort()).toEqual(["claimed", "size"]);
    await again.update(renamed, seen, inputs, true);
    expect(files(engine)).toEqual(["home.lab.json"]);
    const { outputs } = await again.update(renamed, seen, inputs);
    expect(outputs).toMatchObject({ size: "2 GiB", claimed: true, claim: created.outputs.claim });
    expect(files(engine)).toEqual(["home.prod.json"]);
    const next = await play(engine.host, [type]);
    expect((await next.read(renamed, { ...created, inputs, outputs })).outputs).toEqual(outputs);
  });

  it("is removed by it before that, too", async () => {
    const engine = await play(undefined, [type]);
    const created = await up(engine);
    await (await play(engine.host, [type])).delete(renamed, created);
    expect(engine.host.read("testdisk", "active")).toBeUndefined();
    expect(files(engine)).toEqual([]);
  });

  it("keeps its claim as it was where the run refuses", async () => {
    const engine = await play(undefined, [type]);
    const created = await up(engine);
    const before = engine.host.read(claim, "home.lab.json");
    engine.host.write("testdisk", "foreign", "");
    await expect(engine.update(renamed, created, created.inputs)).rejects.toThrow("holds a photo");
    expect(files(engine)).toEqual(["home.lab.json"]);
    expect(engine.host.read(claim, "home.lab.json")).toBe(before);
  });
});

describe("a file that is one thing's alone", () => {
  const filed = resourceType<typeof thing.definition>({
    ...thing,
    ownFile: ({ labels }) => ({ path: `/etc/${labels[0]}`, cure: "Name another file." }),
  });
  const photos = { ...wish, labels: ["key"] };
  const music = { ...photos, name: "music" };
  const taken =
    /sandbox .*: \/etc\/key is that of thing "testdisk" of the stack home\/lab \(urn:.*\), and thing "music" must have its own\. Name another file\. If that stack no longer exists, remove \/var\/lib\/netdisk\/claims\/thing\/testdisk\/home\.lab\.json on the host\.$/;

  it("is refused to another thing, of this stack or another one, which leaves nothing", async () => {
    const mine = await play(undefined, [filed]);
    await up(mine, urn, photos);
    for (const as of [urnOf("music"), urnOf("music", { stack: "prod" })]) {
      const other = await play(mine.host, [filed]);
      const { inputs } = await other.check(as, music);
      await expect(other.create(as, inputs, true)).rejects.toThrow(taken);
      await expect(other.create(as, inputs)).rejects.toThrow(taken);
      expect(existsSync(mine.host.file("../claims/thing/music", "."))).toBe(false);
      expect(mine.host.read("music", "size")).toBeUndefined();
    }
  });

  it("is refused under another of its paths, too", async () => {
    const hosts = sandbox();
    const pathOf = (label = "") => `/var/lib/netdisk/things/files/${label}`;
    const onHost = resourceType<typeof thing.definition>({
      ...thing,
      ownFile: ({ labels }) => ({ path: pathOf(labels[0]), cure: "Name another file." }),
    });
    for (const label of ["key", "other"]) hosts.write("files", label, "");
    symlinkSync("key", hosts.file("files", "link"));
    const mine = await play(hosts, [onHost]);
    await up(mine, urn, photos);
    const { inputs } = await mine.check(urnOf("music"), { ...music, labels: ["link"] });
    const refusal = `${pathOf("link")} is that of thing "testdisk" of the stack home/lab (${urn}), which has it as ${pathOf("key")}, and`;
    for (const preview of [true, false])
      await expect(mine.create(urnOf("music"), inputs, preview)).rejects.toThrow(refusal);
    await up(mine, urnOf("music"), { ...music, labels: ["other"] });
  });

  it("is refused to a thing that is gone and would be made anew with it", async () => {
    const engine = await play(undefined, [filed]);
    await up(engine, urn, photos);
    const before = await up(engine, urnOf("music"), { ...music, labels: ["other"] });
    rmSync(engine.host.file("music", "."), { recursive: true });
    const gone = await lastWord(engine, urnOf("music"), before);
    const next = await play(engine.host, [filed]);
    const { inputs } = await next.check(urnOf("music"), music, gone.inputs);
    for (const preview of [true, false])
      await expect(next.update(urnOf("music"), gone, inputs, preview)).rejects.toThrow(taken);
    expect(engine.host.read("music", "size")).toBeUndefined();
    expect(engine.host.read("../claims/thing/music", "home.lab.json")).toContain('"other"');
  });

  it("is refused to a second resource of the same run by its check", async () => {
    const engine = await play(undefined, [filed]);
    await engine.check(urn, photos);
    expect((await engine.check(urnOf("music"), music)).failures).toEqual([
      { property: "name", reason: `/etc/key is that of ${urn}, too. Name another file.` },
    ]);
    expect((await engine.check(urn, photos)).failures).toEqual([]);
  });

  it("goes on to be used by two things that had it before that was refused", async () => {
    const before = await play();
    await up(before, urn, photos);
    const second = await up(before, urnOf("music"), music);
    const engine = await play(before.host, [filed]);
    const { inputs } = await engine.check(urnOf("music"), { ...music, size: "2 GiB" }, second.inputs);
    expect((await engine.read(urnOf("music"), second)).outputs).toMatchObject({ claimed: true });
    await engine.update(urnOf("music"), second, inputs);
    expect(engine.host.read("music", "size")).toBe("2 GiB");
  });
});

describe("a shared thing", () => {
  it("has a claim of each stack, and goes with the last one", async () => {
    const mine = await play(undefined, [shared]);
    const theirs = await play(mine.host, [shared]);
    const first = await up(mine);
    const second = await up(theirs, elsewhere);
    await mine.delete(urn, first);
    expect(mine.host.read("testdisk", "active")).toBe("true");
    expect(mine.host.read(claim, "home.lab.json")).toBeUndefined();
    expect(mine.host.read(claim, "other.prod.json")).toBeDefined();
    await theirs.delete(elsewhere, second);
    expect(mine.host.read("testdisk", "active")).toBeUndefined();
    expect(existsSync(mine.host.file(claim, "."))).toBe(false);
  });

  it.each([
    ["between the look and the removal", "look", "true"],
    ["after the removal", "removal", "true"],
  ])("stays, or is made anew, where another stack comes %s", async (_, moment, active) => {
    const theirs = await play(undefined, [shared]);
    let looks = 0;
    const overtaken = resourceType<typeof thing.definition>({
      ...shared,
      async observe(host, inputs, known) {
        const look = await shared.observe(host, inputs, known);
        if (++looks === (moment === "look" ? 1 : 2)) await up(theirs, elsewhere);
        return look;
      },
    });
    const created = await up(await play(theirs.host, [shared]));
    const mine = await play(theirs.host, [overtaken]);
    await mine.delete(urn, created);
    expect(theirs.host.read("testdisk", "active")).toBe(active);
    expect(theirs.host.read(claim, "home.lab.json")).toBeUndefined();
    expect(theirs.host.read(claim, "other.prod.json")).toBeDefined();
  });

  it("goes, too, where both stacks give it up at once", async () => {
    const theirs = await play(undefined, [shared]);
    const mine = await play(theirs.host, [shared]);
    const [first, second] = [await up(mine), await up(theirs, elsewhere)];
    await Promise.all([mine.delete(urn, first), theirs.delete(elsewhere, second)]);
    expect(mine.host.read("testdisk", "size")).toBeUndefined();
    expect(existsSync(mine.host.file(claim, "."))).toBe(false);
  });

  it("goes with the last one, too, where the first one gave it up while it was not there", async () => {
    const mine = await play(undefined, [shared]);
    const theirs = await play(mine.host, [shared]);
    const [first, second] = [await up(mine), await up(theirs, elsewhere)];
    rmSync(mine.host.file("testdisk", "."), { recursive: true });
    await mine.delete(urn, await lastWord(mine, urn, first));
    const again = await theirs.update(elsewhere, await lastWord(theirs, elsewhere, second), second.inputs);
    expect(mine.host.read("testdisk", "active")).toBe("true");
    await theirs.delete(elsewhere, again);
    expect(mine.host.read("testdisk", "active")).toBeUndefined();
    expect(existsSync(mine.host.file(claim, "."))).toBe(false);
  });

  it("that another stack wants differently is refused by name, with the claim as it was before", async () => {
    const mine = await play(undefined, [shared]);
    const theirs = await play(mine.host, [shared]);
    const first = await up(mine);
    await expect(up(theirs, elsewhere, { ...wish, size: "2 GiB" })).rejects.toThrow(
      /shared with the stack home\/lab .*size is "2 GiB" here and "1 GiB" there\. Give both/,
    );
    expect(mine.host.read(claim, "other.prod.json")).toBeUndefined();
    // Another spelling of the same wish is none.
    await up(theirs, elsewhere, { ...wish, size: "1024 MiB" });
    const before = mine.host.read(claim, "home.lab.json");
    const { inputs } = await mine.check(urn, { ...wish, size: "2 GiB" }, first.inputs);
    await expect(mine.update(urn, first, inputs)).rejects.toThrow(/shared with the stack other\/prod/);
    expect(mine.host.read(claim, "home.lab.json")).toBe(before);
    expect(mine.host.read("testdisk", "size")).toBe("1 GiB");
  });

  it("may decide itself what conflicts", async () => {
    const union = resourceType<typeof thing.definition>({ ...shared, conflicts: () => undefined });
    const mine = await play(undefined, [union]);
    const theirs = await play(mine.host, [union]);
    await up(mine);
    await up(theirs, elsewhere, { ...wish, size: "2 GiB" });
    expect(mine.host.read("testdisk", "size")).toBe("2 GiB");
  });
});

it("a claim whose text does not arrive is not put in the place of the one that was there", async () => {
  const engine = await play();
  const created = await up(engine);
  const before = engine.host.read(claim, "home.lab.json");
  engine.host.transport.lost = true;
  const { inputs } = await engine.check(urn, { ...wish, size: "2 GiB" }, created.inputs);
  await expect(engine.update(urn, created, inputs)).rejects.toThrow(/only 0 of \d+ bytes arrived/);
  expect(engine.host.read(claim, "home.lab.json")).toBe(before);
  await expect(up(engine, urnOf("other"), { ...wish, name: "other" })).rejects.toThrow(/bytes arrived/);
  expect(engine.host.read("../claims/thing/other", "home.lab.json")).toBeUndefined();
  // Nor does it keep others from being read.
  expect((await engine.read(urn, created)).outputs).toMatchObject({ claimed: true });
});

it("claims that come and go while all are read are read or not, and never an error", async () => {
  const host = sandbox();
  const folder = join(host.root, "var/lib/netdisk/claims/thing/busy");
  const text = JSON.stringify({ project: "p", stack: "s", urn: "urn", nonce: "n", inputs: {} });
  const churn = spawn("sh", [
    "-c",
    `while :; do mkdir -p ${folder}; echo '${text}' >${folder}/.new; mv ${folder}/.new ${folder}/p.s.json; rm ${folder}/p.s.json; rmdir ${folder}; done`,
  ]);
  try {
    const shell = new ShellHost(host.transport);
    await shell.run(sh`mkdir -p /var/lib/netdisk/claims`);
    // Until both were met: which of them comes first is the scheduler's choice.
    const met = new Set<number>();
    for (let i = 0; i < 60 || met.size < 2; i++) met.add((await ask(shell, claims)).length);
    expect(met).toEqual(new Set([0, 1]));
  } finally {
    churn.kill("SIGKILL");
    await once(churn, "exit");
    host.dispose();
  }
});

it("a claim that is empty beside one that is whole is an error, not absent", async () => {
  const host = sandbox();
  const text = JSON.stringify({ project: "p", stack: "s", urn: "urn", nonce: "n", inputs: {} });
  const claimOf = (name: string) => `/var/lib/netdisk/claims/thing/${name}/p.s.json`;
  try {
    const shell = new ShellHost(host.transport);
    await shell.writeFile(claimOf("whole"), `${text}\n`, { mode: 0o600 });
    expect(await ask(shell, claims)).toHaveLength(1);
    await shell.writeFile(claimOf("empty"), "", { mode: 0o600 });
    await expect(ask(shell, claims)).rejects.toThrow(
      /: \S+\/claims\/thing\/empty\/p\.s\.json is empty\. Remove it on the host; .* `pulumi up`\.$/,
    );
  } finally {
    host.dispose();
  }
});
