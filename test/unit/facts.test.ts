/**
 * Every fact against captured answers. A case is `facts/<fact name>/<case>.yaml`:
 * `args`, `command` (exact), `exitCode`, `stdout`, `stderr`, and `expect` or `error` (a part of the message).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Fact } from "../../provider/fact";
import { Command } from "../../provider/host/sh";
import { caseFiles } from "./caseFiles";

interface FactCase {
  args?: unknown[];
  command?: string;
  exitCode?: number;
  stdout?: string;
  stderr?: string;
  expect?: unknown;
  error?: string;
}

type AnyFact = Fact<unknown[], unknown>;

const isFact = (value: unknown): value is AnyFact =>
  typeof value === "object" && value !== null && "command" in value && "parse" in value && "name" in value;

async function loadFacts(): Promise<Map<string, AnyFact>> {
  const folder = join(__dirname, "../../provider/facts");
  const facts = new Map<string, AnyFact>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts"))) {
    const module = (await import(join(folder, file))) as Record<string, unknown>;
    for (const fact of Object.values(module).filter(isFact)) facts.set(fact.name, fact);
  }
  return facts;
}

const facts = await loadFacts();
const cases = caseFiles<FactCase>("facts");

describe("every fact has the mandatory cases", () => {
  it.each([...facts.keys()])("%s: typical, empty, malformed", (name) => {
    const names = cases.filter(({ subject }) => subject === name).map((it) => it.name);
    for (const wanted of ["typical", "empty", "malformed"]) {
      expect(
        names.some((it) => it.startsWith(wanted)),
        `no ${wanted}*.yaml in facts/${name}`,
      ).toBe(true);
    }
  });
});

describe.each(cases)("$subject/$name", (one) => {
  it("asks and understands", () => {
    const { subject, data } = one;
    const fact = facts.get(subject);
    if (!fact) throw new Error(`no fact is called ${subject}`);
    const args = data.args ?? [];
    if (data.command !== undefined) {
      const command = fact.command(...args);
      expect(command).toBeInstanceOf(Command);
      expect(command.text.trim()).toBe(data.command.trim());
    }
    const answer = { exitCode: data.exitCode ?? 0, stdout: data.stdout ?? "", stderr: data.stderr ?? "" };
    expect("expect" in data !== "error" in data, "a case has either expect or error").toBe(true);
    if ("error" in data) expect(() => fact.parse(answer, ...args)).toThrow(data.error);
    else expect(fact.parse(answer, ...args)).toEqual(data.expect ?? undefined);
  });
});
