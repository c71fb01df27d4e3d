/**
 * Test files that run side by side, each on a lab of its own: a lab keeps one core busy, its client's, and the machine has
 * two. The first has the lab's own name, vitest's second worker that of `NAME-2`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkout, pause, statOf } from "./run";

/** What the lanes share is kept under this name. */
export const baseName = process.env.NETDISK_LAB ?? "e2e";

/** Labs that lanes of this name have made. */
export const labsOfLanes = (): string[] =>
  readdirSync(join(checkout, ".lab")).filter((name) => lanes.some((lane) => labOfLane(lane) === name));

const lanes = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export const labOfLane = (lane: number): string => (lane === 1 ? baseName : `${baseName}-${lane}`);

const lockFile = (work: string): string => join(checkout, ".lab", `${baseName}.${work}.lock`);

/** `PID START`: a process's id may be another's by now, also after a boot; undefined where none has it. */
function identity(pid: string): string | undefined {
  const stat = statOf(pid);
  return stat && `${pid} ${stat[19]}`;
}

const ours = (): string => identity(String(process.pid)) ?? "";

/** Waits until nobody else does this work; a process that has ended does not count. */
export async function takeTurn(work: string): Promise<void> {
  const file = lockFile(work);
  mkdirSync(dirname(file), { recursive: true });
  for (;;) {
    try {
      writeFileSync(file, ours(), { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const holder = existsSync(file) ? readFileSync(file, "utf8") : "";
    // Nothing: given up meanwhile, or made at this moment and not yet written.
    if (holder !== "" && identity(holder.split(" ")[0] ?? "") !== holder) rmSync(file, { force: true });
    else await pause(1);
  }
}

/** Ends the turn of this process, if it has it. */
export function endTurn(work: string): void {
  const file = lockFile(work);
  if (existsSync(file) && readFileSync(file, "utf8") === ours()) rmSync(file, { force: true });
}
