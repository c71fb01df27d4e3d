/** Drift made by hand: what is in drift.yaml is done to the hosts, named by `preview` and repaired by a plain `up`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { parse } from "yaml";
import { mounted, on, type HostName } from "./lab";
import { pulumi } from "./project";
import { recordDrift } from "./record";
import { up } from "./scenario";

export interface Drift {
  name: string;
  batch?: number;
  on: HostName;
  do: string;
  /** `TYPE` or `TYPE property`. */
  names: string[];
  heals?: boolean;
  /** Proof of the repair. */
  check?: string;
  /** What `up` says where only the user can mend it, and what the user then does. */
  refused?: string;
  undo?: string;
}

export const drifts = parse(readFileSync(join(__dirname, "../drift.yaml"), "utf8")) as Drift[];

/** What is made, named and repaired together. */
export const batches = [...new Set(drifts.flatMap(({ batch }) => batch ?? []))]
  .sort((a, b) => a - b)
  .map((batch) => {
    const rows = drifts.filter((drift) => drift.batch === batch);
    return { batch, rows, what: rows.map(({ name }) => name).join("; ") };
  });

const marker = "/mnt/disk/before-the-drift";

/** A file that must be there after every repair. */
export const writeMarker = (): Promise<string> =>
  on("client", `echo still here > ${marker} && sync -f ${marker}`);

async function expectMarker(): Promise<void> {
  await mounted();
  expect(await on("client", `cat ${marker}`)).toBe("still here");
}

/** The resource is to be updated or made again; a property is listed with its old and its new value. */
function expectNamed(output: string, named: string): void {
  const [type = "", property] = named.split(" ");
  expect(output).toMatch(new RegExp(`[~+] +netdisk:index:${type} .*${property ?? ""}`));
  if (property !== undefined) expect(output).toMatch(new RegExp(`^\\s*${property}: .+ → .+`, "m"));
}

async function make({ name, on: host, do: act, names }: Drift): Promise<void> {
  await on(host, act);
  await recordDrift(
    name,
    names.map((named) => named.split(" ")[0] ?? ""),
  );
}

/** Makes all of them, expects a preview to name each, and one `up` to repair each. */
export async function namedAndRepaired(rows: readonly Drift[]): Promise<void> {
  let repaired = false;
  try {
    for (const drift of rows) await make(drift);

    const preview = await pulumi(["preview", "--expect-no-changes"]);
    const healed = preview.code === 0 && rows.every(({ heals }) => heals === true);
    if (!healed) {
      expect(preview.code, preview.output).not.toBe(0);
      for (const named of rows.flatMap(({ names }) => names)) expectNamed(preview.output, named);
    }

    await up();
    repaired = true;
    for (const drift of rows) if (drift.check !== undefined) await on(drift.on, drift.check);
    await expectMarker();
  } finally {
    // What was not named must not be the next ones' drift, too.
    if (!repaired) await pulumi(["up", "--yes", "--skip-preview"]);
  }
}

/** Makes it, expects `preview` and `up` to say what is wrong, and the hosts to be as before once it is taken back. */
export async function namedAndRefused(drift: Drift): Promise<void> {
  await make(drift);
  try {
    const preview = await pulumi(["preview", "--expect-no-changes"]);
    expect(preview.code, preview.output).not.toBe(0);
    for (const named of drift.names) expectNamed(preview.output, named);
    const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
    expect(code, output).not.toBe(0);
    expect(output.replace(/\s+/g, " ")).toContain(drift.refused);
  } finally {
    await on(drift.on, drift.undo ?? "true");
  }
  await up();
  await expectMarker();
}
