/** What a preview said that `up` would run, and what `up` then ran. */
import { readFileSync, rmSync } from "node:fs";
import { expect } from "vitest";
import type { TraceLine } from "../../../provider/trace";
import { pulumi, traceFile } from "./project";

/** Steps in their order, by resource: `TYPE (NAME)`, as the engine heads its messages. */
type Commands = Map<string, string[]>;

const add = (commands: Commands, resource: string, step: string): void => {
  commands.set(resource, [...(commands.get(resource) ?? []), step]);
};

function foreseen(output: string): Commands {
  const commands: Commands = new Map();
  let resource = "";
  for (const line of output.split("\n")) {
    const head = /^ {2}netdisk:index:(\w+ \(.+\)):$/.exec(line)?.[1];
    if (head !== undefined) resource = head;
    const step = /^ *(?:info: )?would run: (.*)$/.exec(line)?.[1];
    if (step !== undefined) add(commands, resource, step);
  }
  return commands;
}

export const traceLines = (): TraceLine[] =>
  readFileSync(traceFile, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as TraceLine);

export const resourceOf = ({ urn }: TraceLine): string => {
  const [, type, name] = /(\w+)::([^:]+)$/.exec(urn) ?? [];
  return `${type} (${name})`;
};

function ran(): Commands {
  const commands: Commands = new Map();
  for (const line of traceLines()) if (line.event === "begin") add(commands, resourceOf(line), line.step);
  return commands;
}

/**
 * `up` after this preview. A resource's plan is made anew once its steps have run, so what `up` runs begins with what was
 * foreseen; and resources that no preview can foresee (what they stand on is not there yet) are left out.
 */
export async function upAsForeseen(preview: string): Promise<void> {
  rmSync(traceFile, { force: true });
  const { code, output } = await pulumi(["up", "--yes", "--skip-preview"], { NETDISK_TRACE: traceFile });
  expect(code, output).toBe(0);
  const done = ran();
  const wished = foreseen(preview);
  expect(wished.size, preview).toBeGreaterThan(0);
  const asForeseen = [...wished].map(([resource, steps]) => [
    resource,
    (done.get(resource) ?? []).slice(0, steps.length),
  ]);
  expect(Object.fromEntries(asForeseen)).toEqual(Object.fromEntries(wished));
}
