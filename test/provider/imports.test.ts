/** `pulumi import TYPE NAME ID` brings nothing but the id: what each type takes from it, and what it says it cannot guess. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { registry } from "../../provider/registry";
import { luksKey } from "../../provider/resources/luksKey";
import { Failure, urnOf } from "./client";
import { play } from "./playing";

const nothing = { inputs: {}, outputs: {} };

describe("an import by the id alone", () => {
  it("reads what the name leads to", async () => {
    const engine = await play(undefined, [luksKey]);
    const keys = join(engine.host.root, "etc/netdisk/keys");
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    writeFileSync(join(keys, "testdisk.key"), Buffer.alloc(64, 7), { mode: 0o400 });
    const urn = urnOf("testdisk", { type: luksKey.definition.token });
    const read = await engine.read(urn, { id: "luks-key/testdisk", ...nothing });
    expect(read.inputs).toMatchObject({ name: "testdisk", bytes: 64, private: true, exists: true });
    expect(read.outputs).toMatchObject({ path: "/etc/netdisk/keys/testdisk.key", claimed: false });
    // What the engine does next: nothing but the claim differs, and an update takes that.
    const { inputs } = await engine.check(urn, { name: "testdisk" }, read.inputs);
    expect((await engine.diff(urn, read, inputs)).getDiffsList()).toEqual(["claimed"]);
    expect((await engine.update(urn, read, inputs)).outputs).toMatchObject({ claimed: true });
  });

  it("is nothing where nothing is", async () => {
    const engine = await play(undefined, [luksKey]);
    const urn = urnOf("testdisk", { type: luksKey.definition.token });
    expect((await engine.read(urn, { id: "luks-key/testdisk", ...nothing })).id).toBe("");
  });

  const types = [...registry.values()];
  /** Required, and without a default: only a program or this stack's claim can say it. */
  const unguessable = types.filter(({ definition }) =>
    Object.entries(definition.inputs).some(
      ([key, field]) =>
        key !== "name" && field.role !== "unobserved" && !field.schema.safeParse(undefined).success,
    ),
  );

  it.each(unguessable.map((type) => [type.definition.kind, type] as const))(
    "of %s names what cannot be guessed, and the cure",
    async (kind, type) => {
      const engine = await play(undefined, [type]);
      const urn = urnOf("testdisk", { type: type.definition.token });
      const failure: unknown = await engine
        .read(urn, { id: `${kind}/testdisk`, ...nothing })
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(Failure);
      expect((failure as Failure).message).toMatch(
        /cannot be imported by its id alone: .+ cannot be guessed\. Leave the import out: a create takes over what is there/,
      );
    },
  );
});
