/** Where a test begins: on pristine hosts, or where `pulumi up` has just made the disk. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hosts, lab, mounted, on } from "./lab";
import {
  isKept,
  keepProject,
  newProject,
  projectDir,
  pulumi,
  restoreProject,
  type StackSettings,
} from "./project";
import { checkout } from "./run";

const snapshot = "mounted";

/** Changes with everything that decides what an `up` leaves behind on the hosts and in the state. */
function fingerprint(): string {
  const hash = createHash("sha256");
  const add = (path: string): void => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name));
    else hash.update(path).update(readFileSync(path));
  };
  for (const folder of ["dist", "templates", "lab", "test/e2e/harness/project.ts"])
    add(join(checkout, folder));
  return hash.digest("hex");
}

const fingerprintFile = `${projectDir}.${snapshot}.fingerprint`;

async function isCurrent(): Promise<boolean> {
  if (!isKept(snapshot)) return false;
  const { output } = await lab("snapshot", "list");
  if (!output.includes(snapshot)) return false;
  try {
    return readFileSync(fingerprintFile, "utf8") === fingerprint();
  } catch {
    return false;
  }
}

/** Two new hosts and a project that has done nothing yet. */
export async function pristine(settings?: StackSettings): Promise<void> {
  await lab("up");
  await lab("reset");
  await newProject(settings);
}

/** Keeps hosts and project as they are now, for the tests that begin here. */
export async function keepMounted(): Promise<void> {
  // The snapshot is taken of hosts that were shut down; the state must not be newer than the hosts.
  await lab("snapshot", "save", snapshot);
  keepProject(snapshot);
  writeFileSync(fingerprintFile, fingerprint());
  await mounted();
}

/** The disk is there, mounted, and nothing is left to do. Takes seconds when an earlier test has kept it. */
export async function startMounted(): Promise<void> {
  if (await isCurrent()) {
    await lab("snapshot", "restore", snapshot);
    restoreProject(snapshot);
    await mounted();
    return;
  }
  await pristine();
  await up();
  await keepMounted();
}

/** `pulumi up` that must succeed; returns what it said. */
export async function up(...args: string[]): Promise<string> {
  const { code, output } = await pulumi(["up", "--yes", "--skip-preview", ...args]);
  expect(code, output).toBe(0);
  return output;
}

/** Nothing differs: the engine's own judgement after reading both hosts. */
export async function expectNoChanges(): Promise<void> {
  const { code, output } = await pulumi(["preview", "--expect-no-changes"]);
  expect(code, output).toBe(0);
}

/** The boot that a host is in, to prove that there was another. */
export const bootIds = (): Promise<string[]> =>
  Promise.all(hosts.map((host) => on(host, "cat /proc/sys/kernel/random/boot_id")));

/** Tests that build on each other: after the first that fails, the others are skipped, for they prove nothing. */
export function ladder(): (name: string, act: () => Promise<void>, timeoutMs?: number) => void {
  let broken: string | undefined;
  return (name, act, timeoutMs) => {
    it(
      name,
      // Never tried again: the hosts are no longer where the step began.
      { timeout: timeoutMs, retry: 0 },
      async ({ skip }) => {
        if (broken !== undefined) skip(`builds on "${broken}", which failed`);
        broken = name;
        await act();
        broken = undefined;
      },
    );
  };
}
