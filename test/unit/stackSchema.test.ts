/** What editors know (stacks/stack.schema.json) and what `npm run new-stack` writes agree with what is checked. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { exampleStackText, newStackText } from "../../schema/newStack";
import { stackFields } from "../../schema/stack";
import { stackMistakes } from "../../schema/stackMistakes";
import { stackSchemaText } from "../../schema/stackSchema";
import { StackText } from "../../schema/stackText";

const root = join(__dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const { name: project } = parse(read("Pulumi.yaml")) as { name: string };

const validator = (name: string) =>
  new Ajv({ allErrors: true }).compile(JSON.parse(stackSchemaText(name)) as object);
const yaml = (text: string) => parse(text, { merge: true }) as unknown;

it.each([
  ["stacks/stack.schema.json", stackSchemaText(project)],
  ["stacks/Pulumi.example.yaml", exampleStackText(project)],
])("%s is what the definitions say (npm run schema)", (file, text) => {
  expect(read(file)).toBe(text);
});

describe("the editor's schema", () => {
  const cases = readdirSync(join(__dirname, "stack/stacks"));
  const takes = (file: string) => validator("hosts")(yaml(read(`test/unit/stack/stacks/${file}`)));
  // What no JSON Schema can say: rules about two keys or disks, how large a size is, what an alias of ssh_config is.
  const beyond = [
    "alias-without-endpoint",
    "encrypted-host-is-not-shown",
    "disk-name-bad",
    "disk-name-taken",
    "disk-name-with-dot",
    "disk-too-small",
    "disks-share",
    "disks-share-a-default",
    "host-missing",
    "local-and-host",
    "local-server-without-endpoint",
    "mount-points",
    "passphrase-short",
    "prefix-of-another-project",
    "private-key-twice",
    "section-twice",
  ].map((name) => `Pulumi.${name}.yaml`);

  it.each(cases.filter((file) => file.includes("valid-")))("takes %s", (file) =>
    expect(takes(file)).toBe(true),
  );

  it.each(cases.filter((file) => !file.includes("valid-") && !beyond.includes(file)))("marks %s", (file) =>
    expect(takes(file)).toBe(false),
  );

  it("takes the lab's stack", () =>
    expect(validator(project)(yaml(read("stacks/Pulumi.lab.yaml")))).toBe(true));
});

describe("a new stack file", () => {
  const chosen = {
    stack: "home",
    project,
    disk: "vault",
    values: {
      "server.host": "203.0.113.7",
      "server.port": 2222,
      "client.connection": "local",
      "client.nbd.ref": "nbd-3.27.1",
      "disks.vault.file.size": "1 TiB",
      "disks.vault.luks.keySize": 256,
      "disks.vault.mount.path": "/mnt/vault",
      "disks.vault.mount.options": ["noatime", "nodev"],
    },
  };
  const text = newStackText({ ...chosen, recovery: "none" });

  it("is valid, for the program and for editors", () => {
    const values = new StackText("f", text, project).values();
    expect(stackMistakes(values)).toEqual([]);
    expect(values).toEqual({
      server: { host: "203.0.113.7", port: 2222 },
      client: { connection: "local", nbd: { ref: "nbd-3.27.1" } },
      recovery: "none",
      disks: {
        vault: {
          file: { size: "1 TiB" },
          luks: { keySize: 256 },
          mount: { path: "/mnt/vault", options: ["noatime", "nodev"] },
        },
      },
    });
    expect(validator(project)(yaml(text))).toBe(true);
  });

  it("lacks nothing but the passphrase, which only Pulumi can encrypt", () => {
    const values = new StackText("f", newStackText({ ...chosen, recovery: "passphrase" }), project).values();
    expect(stackMistakes(values).map(({ path }) => path)).toEqual([["recovery"]]);
  });

  it("shows every key there is, and says how an editor finds the schema", () => {
    const shown = text + exampleStackText(project);
    for (const fields of Object.values<object>(stackFields)) {
      for (const key of Object.keys(fields)) expect(shown).toMatch(new RegExp(`\\b${key}: `));
    }
    expect(text.split("\n")[0]).toBe("# yaml-language-server: $schema=stack.schema.json");
  });
});
