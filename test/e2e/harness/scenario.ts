/** Where a test begins: on pristine hosts, or where `pulumi up` has just made the disk. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hosts, lab, labName, mounted, on } from "./lab";
import { baseName, endTurn, takeTurn } from "./lanes";
import { isKept, keepProject, newProject, pulumi, restoreProject, type StackSettings } from "./project";
import { checkout } from "./run";

/** Changes with any of these files. */
function fingerprint(...paths: string[]): string {
  const hash = createHash("sha256");
  const add = (path: string): void => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name));
    else hash.update(path).update(readFileSync(path));
  };
  for (const path of paths) add(join(checkout, path));
  return hash.digest("hex");
}

/** What decides what an `up` leaves behind on the hosts and in the state. */
const decisive = {
  mounted: () => fingerprint("dist", "templates", "lab", "test/e2e/harness/project.ts"),
  // A build that other code would make otherwise is made anew by the `up` that follows.
  prepared: () => fingerprint("lab", "test/e2e/harness/project.ts"),
};

type Snapshot = keyof typeof decisive;

/** What a snapshot was made by, and the lab that has it. */
const noteOf = (name: Snapshot): string => join(checkout, ".lab", `${baseName}.${name}`);

/** The lab that has it, if it is what this code would make. */
function ownerOf(name: Snapshot): string | undefined {
  const note = noteOf(name);
  const [owner = "", made] = existsSync(note) ? readFileSync(note, "utf8").split(" ") : [];
  const isThere = existsSync(join(checkout, ".lab", owner, "snapshots", name));
  return isThere && made === decisive[name]() ? owner : undefined;
}

const isCurrent = (name: Snapshot): boolean => ownerOf(name) !== undefined;

/** The snapshot is taken of hosts that were shut down. */
async function keepHosts(name: Snapshot): Promise<void> {
  await lab("snapshot", "save", name);
  writeFileSync(noteOf(name), `${labName} ${decisive[name]()}`);
}

/** Returns the lab that they come from. */
async function restoreHosts(name: Snapshot): Promise<string> {
  const owner = ownerOf(name) ?? labName;
  await lab("snapshot", "restore", name, owner);
  return owner;
}

/** Two new hosts and a project that has done nothing yet. */
export async function pristine(settings?: StackSettings): Promise<void> {
  await lab("up");
  await lab("reset");
  await newProject(settings);
}

/** Sees to it that there is a snapshot for `prepared`: as long as from bare hosts, the first time. */
export async function makePrepared(): Promise<void> {
  if (isCurrent("prepared")) return;
  await pristine();
  await up();
  await destroy();
  // Of the disk nothing is left: neither what destroy keeps nor a note.
  const forget =
    "rm -rf /etc/netdisk; find /var/lib/netdisk -mindepth 1 -maxdepth 1 ! -name build -exec rm -r {} +";
  for (const host of hosts) await on(host, forget);
  await keepHosts("prepared");
}

/** Two hosts without a disk that have the packages and a finished build of nbd: saves the first minutes. */
export async function prepared(settings?: StackSettings): Promise<void> {
  await makePrepared();
  await restoreHosts("prepared");
  await newProject(settings);
}

/** For who makes the disk from nothing: until it is kept, or this file has ended, the other lane waits for it. */
export const makingMounted = (): Promise<void> => takeTurn("mounted");

/** Keeps hosts and project as they are now, for the tests that begin here. */
export async function keepMounted(): Promise<void> {
  // The state must not be newer than the hosts.
  await keepHosts("mounted");
  keepProject("mounted");
  endTurn("mounted");
  await mounted();
}

/** The disk is there, mounted, and nothing is left to do. Takes seconds when an earlier test has kept it. */
export async function startMounted(): Promise<void> {
  await makingMounted();
  try {
    if (!isKept("mounted") || !isCurrent("mounted")) {
      await pristine();
      await up();
      await keepMounted();
      return;
    }
  } finally {
    // Also where it failed: who comes next makes it, in this file perhaps.
    endTurn("mounted");
  }
  await restoreProject("mounted", await restoreHosts("mounted"));
  await mounted();
}

/** `pulumi up` that must succeed; returns what it said. */
export async function up(...args: string[]): Promise<string> {
  const { code, output } = await pulumi(["up", "--yes", "--skip-preview", ...args]);
  expect(code, output).toBe(0);
  return output;
}

/** `pulumi destroy` that must succeed. */
export async function destroy(): Promise<void> {
  const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(code, output).toBe(0);
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
export function ladder(): (name: string, act: () => Promise<unknown>, timeoutMs?: number) => void {
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
