/** docs/reference.md is generated; every key that a user may write has its meaning there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import type { Field } from "../../schema/define";
import { referenceText } from "../../schema/reference";
import { stackFields } from "../../schema/stack";
import { stackMistakes } from "../../schema/stackMistakes";
import { StackText } from "../../schema/stackText";

const root = join(__dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

it("docs/reference.md is what the definitions say (npm run schema)", () => {
  expect(read("docs/reference.md")).toBe(referenceText());
});

it("every key of a stack file says what it means", () => {
  for (const fields of Object.values<Record<string, Field>>(stackFields)) {
    for (const [key, { doc }] of Object.entries(fields)) expect(doc.length, key).toBeGreaterThan(10);
  }
});

it("the example stack file lacks nothing but the passphrase", () => {
  const text = new StackText("example", read("stacks/Pulumi.example.yaml"), "netdisk-hosts");
  expect(stackMistakes(text.values()).map(({ path }) => path)).toEqual([["recovery"]]);
});

it("the article's stack file lacks nothing but the passphrases", () => {
  const text = new StackText("article", read("stacks/Pulumi.article.yaml"), "netdisk-hosts");
  expect(stackMistakes(text.values()).map(({ path }) => path)).toEqual([
    ["recovery"],
    ["disks", "testdisk", "key", "passphrase"],
  ]);
});

it("the lab's stack file is valid", () => {
  const { config } = parse(read("stacks/Pulumi.lab.yaml")) as { config: Record<string, unknown> };
  expect(stackMistakes({ ...config, recovery: { passphrase: "encrypted in the file" } })).toEqual([]);
});
