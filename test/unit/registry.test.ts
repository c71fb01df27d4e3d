/** Every definition has a type that does it, and the other way round. */
import { expect, it } from "vitest";
import { registry } from "../../provider/registry";
import { conditionsOf, ownershipOutputs } from "../../schema/ownership";
import type { Definition } from "../../schema/define";
import { definitions } from "../../schema/index";

const all: [string, Definition][] = Object.entries(definitions);

it("has a type for every definition, and no other", () => {
  expect([...registry.keys()].sort()).toEqual(all.map(([, { token }]) => token).sort());
  for (const [, definition] of all) expect(registry.get(definition.token)?.definition).toBe(definition);
});

it("keeps in the state what brings data back when its host is gone, and nothing else", () => {
  const kept = [...registry.values()].filter(({ keepWhenGone }) => keepWhenGone);
  expect(kept.map(({ definition }) => definition.token.replace("netdisk:index:", "")).sort()).toEqual([
    "BackingFile",
    "Filesystem",
    "Luks",
    "LuksKey",
    "Recovery",
  ]);
});

it("takes no output for known in a preview that the update may make anew", () => {
  const renewed = [...registry.values()].flatMap(({ definition, renewed = [] }) =>
    renewed.map((key) => `${definition.token.replace("netdisk:index:", "")}.${key}`),
  );
  expect(renewed.sort()).toEqual([
    "Export.revision",
    "Recovery.sealed",
    "SourceBuild.commit",
    "SourceBuild.digests",
  ]);
  for (const { definition, renewed = [] } of registry.values())
    expect(Object.keys(definition.outputs)).toEqual(expect.arrayContaining([...renewed]));
});

it.each(all)("%s: its key, token and kind agree", (key, { token, kind }) => {
  expect(token).toBe(`netdisk:index:${key}`);
  expect(kind).toBe(key.replaceAll(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase());
});

it.each(all)("%s: no property is an input, a condition and an output at once", (_, definition) => {
  const keys = [
    ...Object.keys(definition.inputs),
    ...Object.keys(conditionsOf(definition)),
    ...Object.keys({ ...definition.outputs, ...ownershipOutputs }),
  ];
  expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
});

it.each(all)("%s: a fixed property says what to do instead", (_, { inputs }) => {
  const fixed = Object.entries(inputs).filter(([, { role }]) => role === "fixed");
  for (const [key, { cure }] of fixed) expect(cure, key).toMatch(/\.$/);
});

it.each([...registry.values()].map((type) => [type.definition.token, type] as const))(
  "%s: predicts only outputs that it has",
  (_, type) => {
    const predicted = type.predict?.({ name: "testdisk", prefix: "/opt/nbd" }) ?? {};
    expect(Object.keys(type.definition.outputs)).toEqual(expect.arrayContaining(Object.keys(predicted)));
    for (const value of Object.values(predicted))
      expect(value).toMatch(/testdisk|netdisk|nbd-client|^[0-9a-f]{64}$/);
  },
);
