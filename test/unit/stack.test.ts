/**
 * Stack files and what is said about them. A case is `stack/<case>.yaml`: `config` (the stack file's), `mistakes`
 * (the beginning of each line, in order), `silent` (what no message may hold), `encrypted` (sections that hold
 * encrypted values; default: all).
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { fromStackConfig } from "../../components";
import { recordRegistrations, settled, type Registration } from "./components/mocks";

interface StackCase {
  config: Record<string, unknown>;
  mistakes: string[];
  silent?: string[];
  encrypted?: string[];
}

const folder = join(__dirname, "stack");
const cases = readdirSync(folder).map((file) => ({
  name: file.replace(/\.yaml$/, ""),
  data: parse(readFileSync(join(folder, file), "utf8")) as StackCase,
}));

/** The configuration as the engine hands it to a program: strings as they are, everything else as JSON. */
function setConfig(config: Record<string, unknown>, encrypted: string[]): void {
  const entries = Object.entries(config).map(([key, value]) => [
    `hosts:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  pulumi.runtime.setAllConfig(
    Object.fromEntries(entries) as Record<string, string>,
    encrypted.map((key) => `hosts:${key}`),
  );
}

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error, "no stack trace for the user's mistake").toBeInstanceOf(pulumi.RunError);
    return (error as Error).message;
  }
  return "";
}

describe("a stack file", () => {
  it.each(cases)("$name", async ({ data }) => {
    const registrations: Registration[] = await recordRegistrations();
    setConfig(data.config, data.encrypted ?? ["server", "client", "recovery", "disks"]);
    const message = messageOf(fromStackConfig);
    const lines = message.split("\n").slice(1);

    expect(lines.map((line, i) => line.slice(2, 2 + (data.mistakes[i]?.length ?? line.length)))).toEqual(
      data.mistakes,
    );
    for (const text of data.silent ?? []) expect(message).not.toContain(text);
    await settled();
    if (data.mistakes.length > 0) expect(registrations, "nothing is registered").toEqual([]);
    else expect(registrations.length).toBeGreaterThan(0);
  });
});
