/** Drift made by hand: what is in drift.yaml is done to the hosts, named by `preview` and repaired by a plain `up`. */
import { expect } from "vitest";
import { lacking, type Proof, proofOf } from "./driftProof";
import type { Drift } from "./driftTable";
import { upAsForeseen } from "./foreseen";
import { mounted, on } from "./lab";
import { labDisk } from "./labDisk";
import { remarksOn, rowsOf } from "./previewText";
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

const typeAndProperty = (named: string): [string, string | undefined] => {
  const [type = "", property] = named.split(" ");
  return [type, property];
};

/** The row's resource is to be updated or made again, for the sake of that property. */
function expectNamed(output: string, { of, names }: Drift): void {
  for (const named of names) {
    const [type, property] = typeAndProperty(named);
    const rows = rowsOf(output, type, of);
    const change = property === undefined ? "" : `\\[diff: .*[~+,-]${property}\\b`;
    expect.soft(rows.join("\n"), `${named} of ${of} in\n${output}`).toMatch(new RegExp(`.${change}`));
  }
}

/** Each property is listed with its old and its new value, by its own resource. */
function expectShown(output: string, drift: Drift): void {
  expectNamed(output, drift);
  for (const [type, property] of drift.names.map(typeAndProperty)) {
    if (property === undefined) continue;
    const remarks = remarksOn(output, type, drift.of).join("\n");
    expect
      .soft(remarks, `remarks on ${type} ${drift.of}`)
      .toMatch(new RegExp(`^ *${property}: .+ → .+`, "m"));
  }
}

/** The proof held before, so that it was this very act which broke it. */
async function make(drift: Drift): Promise<Proof> {
  const proof = await proofOf(drift);
  expect.soft(lacking(await proof()), `before "${drift.name}"`).toEqual([]);
  await on(drift.on, drift.do);
  await recordDrift(
    drift.name,
    drift.names.map((named) => typeAndProperty(named)[0]),
  );
  return proof;
}

/** Makes all of them, expects a preview to name each, and one `up` to repair each. Says of every row what was wrong. */
export async function namedAndRepaired(rows: readonly Drift[]): Promise<void> {
  let repaired = false;
  try {
    const made: { drift: Drift; proof: Proof }[] = [];
    for (const drift of rows) made.push({ drift, proof: await make(drift) });
    for (const { drift, proof } of made) {
      if (drift.heals === true) continue;
      expect.soft(await proof(), `"${drift.name}" is made, and its proof holds`).not.toContain(undefined);
    }

    const preview = await pulumi(["preview", "--expect-no-changes"]);
    const healed = preview.code === 0 && rows.every(({ heals }) => heals === true);
    if (!healed) {
      expect(preview.code, preview.output).not.toBe(0);
      for (const drift of rows) expectShown(preview.output, drift);
    }

    // What mends itself may have done so since the preview.
    if (rows.some(({ heals }) => heals === true)) await up();
    else await upAsForeseen(preview.output);
    repaired = true;
    for (const { drift, proof } of made)
      expect.soft(lacking(await proof()), `after "${drift.name}"`).toEqual([]);
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
    expectNamed(preview.output, drift);
    const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
    expect(code, output).not.toBe(0);
    expect(output.replace(/\s+/g, " ")).toContain(drift.refused);
  } finally {
    await on(drift.on, drift.undo ?? "true");
  }
  await up();
  await expectMarker();
}
