/** schema.json is generated: programs in YAML and other languages believe it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { components } from "../../schema/components";
import { definitions } from "../../schema/index";
import { pulumiSchema, schemaText } from "../../schema/pulumi";

const root = join(__dirname, "../..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

it("schema.json is what the definitions say (npm run schema)", () => {
  expect(readFileSync(join(root, "schema.json"), "utf8")).toBe(schemaText(version));
});

it("names every type, with a doc for every property", () => {
  const { resources } = pulumiSchema(version) as {
    resources: Record<
      string,
      {
        isComponent?: boolean;
        inputProperties: Record<string, { description: string }>;
        properties: Record<string, { description: string }>;
      }
    >;
  };
  expect(Object.keys(resources).sort()).toEqual(
    [
      ...Object.keys(components).map((name) => `netdisk:index:${name}`),
      ...Object.values(definitions).map(({ token }) => token),
    ].sort(),
  );
  for (const { isComponent, inputProperties, properties } of Object.values(resources)) {
    if (!isComponent) expect(Object.keys(properties)).toEqual(expect.arrayContaining(["claim", "claimed"]));
    for (const { description } of [...Object.values(properties), ...Object.values(inputProperties)])
      expect(description.length).toBeGreaterThan(3);
  }
});

it("lets programs give no output where a component decides by the value", () => {
  interface Arguments {
    resources: Record<string, { inputProperties: Record<string, { plain?: boolean }> }>;
    types: Record<string, { properties: Record<string, { plain?: boolean }> }>;
  }
  const { resources, types } = pulumiSchema(version) as unknown as Arguments;
  const disk = resources["netdisk:index:EncryptedDisk"]?.inputProperties ?? {};
  for (const key of ["name", "transport", "file", "device", "key", "luks", "mount", "afterUp"])
    expect(disk[key]?.plain, key).toBe(true);
  expect(disk.blockSize?.plain).toBeUndefined();
  const file = types["netdisk:index:DiskFileArgs"]?.properties ?? {};
  expect([file.loop?.plain, file.size?.plain]).toEqual([true, undefined]);
});
