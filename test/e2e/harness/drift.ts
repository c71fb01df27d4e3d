/** Drift made by hand: what is in drift.yaml is done to the hosts, named by `preview` and repaired by a plain `up`. */
import { expect } from "vitest";
import type { Drift } from "./driftTable";
import { mounted, on } from "./lab";
import { labDisk } from "./labDisk";
import { type Disk, pulumi } from "./project";
import { recordDrift } from "./record";
import { up } from "./scenario";

/** Besides the one that a suite begins with. */
export const moreDisks: Record<string, Disk> = {
  looped: { file: { size: "320 MiB", loop: true }, mount: { path: "/mnt/looped" } },
  whole: { device: { path: labDisk }, mount: { path: "/mnt/whole" } },
};

const marker = "/mnt/disk/before-the-drift";

/** A file that must be there after every repair. */
export const writeMarker = (): Promise<string> =>
  on("client", `echo still here > ${marker} && sync -f ${marker}`);

async function expectMarker(): Promise<void> {
  await mounted();
  expect(await on("client", `cat ${marker}`)).toBe("still here");
}

/** The resource is to be updated or made again, for the sake of that property. */
function expectNamed(output: string, named: string): void {
  const [type = "", property = ""] = named.split(" ");
  expect(output).toMatch(new RegExp(`[~+] +netdisk:index:${type} .*${property}`));
}

/** A property is listed with its old and its new value. */
function expectShown(output: string, named: string): void {
  const [, property] = named.split(" ");
  expectNamed(output, named);
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
      for (const named of rows.flatMap(({ names }) => names)) expectShown(preview.output, named);
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
