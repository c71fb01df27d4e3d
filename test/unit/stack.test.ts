/**
 * Stack files and what is said about them. A case is `stack/stacks/Pulumi.<case>.yaml` as a user writes it, and
 * `stack/messages/<case>.txt`, the whole message; a file whose name begins with `valid-` has none. In these files
 * `{ secure: X }` decrypts to X, and everything that no message may hold has "hunter2" in it.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { fromStackConfig } from "../../components";
import { isObject } from "../../schema/mistake";
import { recordRegistrations, settled } from "./components/mocks";

const project = "hosts";
const folder = join(__dirname, "stack");
const fileOf = (name: string) => join(folder, `stacks/Pulumi.${name}.yaml`);
const names = readdirSync(join(folder, "stacks")).map((file) => file.replace(/^Pulumi\.(.*)\.yaml$/, "$1"));
const wrong = names.filter((name) => !name.startsWith("valid-"));

const isEncrypted = (value: unknown): value is { secure: string } => isObject(value) && "secure" in value;

const decrypted = (value: unknown): unknown => {
  if (isEncrypted(value)) return value.secure;
  if (Array.isArray(value)) return value.map(decrypted);
  if (!isObject(value)) return value;
  // The engine sorts keys.
  const keys = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(keys.map(([key, inner]) => [key, decrypted(inner)]));
};

/** As the engine hands a stack's file to a program: strings as they are, nothing as "", everything else as JSON. */
function setConfig(config: Record<string, unknown>): void {
  const keys = Object.entries(config).map(([key, value]) => ({
    key: key.includes(":") ? key : `${project}:${key}`,
    text: typeof value === "string" ? value : value === null ? "" : JSON.stringify(decrypted(value)),
    secret: JSON.stringify(value).includes('"secure":'),
  }));
  pulumi.runtime.setAllConfig(
    Object.fromEntries(keys.map(({ key, text }) => [key, text])),
    keys.filter(({ secret }) => secret).map(({ key }) => key),
  );
}

const configOf = (name: string) =>
  (parse(readFileSync(fileOf(name), "utf8"), { merge: true }) as { config: Record<string, unknown> }).config;

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error, "no stack trace for the user's mistake").toBeInstanceOf(pulumi.RunError);
    return (error as Error).message;
  }
  return "";
}

/** What the program says, and what it asked the engine for. */
async function run(name: string, config = configOf(name)) {
  const registrations = await recordRegistrations({ project, stack: name });
  setConfig(config);
  const message = messageOf(fromStackConfig);
  await settled();
  return { message, registrations };
}

const before = process.cwd();
beforeAll(() => process.chdir(folder));
afterAll(() => process.chdir(before));

describe("a wrong stack file", () => {
  it("has at least thirty cases", () => expect(wrong.length).toBeGreaterThanOrEqual(30));

  it.each(wrong)("%s: says all that is wrong, and where, and registers nothing", async (name) => {
    const { message, registrations } = await run(name);
    await expect(`${message}\n`).toMatchFileSnapshot(join(folder, `messages/${name}.txt`));
    expect(message, "a secret").not.toContain("hunter2");
    expect(registrations).toEqual([]);
  });
});

it.each(names.filter((name) => name.startsWith("valid-")))("%s is taken", async (name) => {
  const { message, registrations } = await run(name);
  expect(message).toBe("");
  expect(registrations.length).toBeGreaterThan(20);
});

describe("a wrong value that is not the file's", () => {
  const config = () => configOf("valid-minimal");

  it("has no place in the file: set by --config or an environment", async () => {
    const server = { host: "203.0.113.7", port: "ssh" };
    const client = { host: "nas.lan", user: 7 };
    const { message } = await run("valid-minimal", { ...config(), server, client });
    expect(message.split("\n")).toEqual([
      "the configuration of stack valid-minimal has 2 mistakes:",
      '  server.port: must be a whole number (found "ssh")',
      '  client.user: must be text; put it in quotes: "7" (found 7)',
    ]);
  });

  it("has no place where the stack has no file", async () => {
    const { message } = await run("no-such-file", { ...config(), recovery: "hunter2" });
    expect(message.split("\n")).toEqual([
      "the configuration of stack no-such-file has 1 mistake:",
      "  recovery: must be `none` or hold a `passphrase`",
    ]);
  });

  it("is refused when a section without any secret is encrypted", async () => {
    const client = { host: { secure: "hunter2.lan" } };
    const { message } = await run("no-such-file", { ...config(), client });
    expect(message).toMatch(
      /^ {2}client: is encrypted, but would be plain in the state and on the hosts\. /m,
    );
    expect(message).not.toContain("hunter2");
  });

  it("is not repeated where it is encrypted", async () => {
    const server = { host: "203.0.113.7", user: { secure: "" }, connection: { secure: "hunter2" } };
    const { message } = await run("valid-minimal", { ...config(), server });
    expect(message).toContain("  server.connection: must be one of ssh, local");
    expect(message).not.toContain("hunter2");
  });
});
