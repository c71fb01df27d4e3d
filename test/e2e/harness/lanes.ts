/**
 * Test files that run side by side, each on a lab of its own: a lab keeps one core busy, its client's, and the machine has
 * two. The first has the lab's own name, vitest's second worker that of `NAME-2`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkout, pause } from "./run";

/** What the lanes share is kept under this name. */
export const baseName = process.env.NETDISK_LAB ?? "e2e";

/** Labs that lanes of this name have made. */
export const labsOfLanes = (): string[] =>
  readdirSync(join(checkout, ".lab")).filter((name) => name.replace(/-[2-9]$/, "") === baseName);

export const labOfLane = (lane: number): string => (lane === 1 ? baseName : `${baseName}-${lane}`);

const lockFile = (work: string): string => join(checkout, ".lab", `${baseName}.${work}.lock`);

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Waits until nobody else does this work; a process that has ended does not count. */
export async function takeTurn(work: string): Promise<void> {
  const file = lockFile(work);
  mkdirSync(dirname(file), { recursive: true });
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const holder = existsSync(file) ? Number(readFileSync(file, "utf8")) : undefined;
    // 0: made at this moment, and not yet written.
    if (holder !== undefined && holder !== 0 && !isAlive(holder)) rmSync(file, { force: true });
    else await pause(1);
  }
}

export const endTurn = (work: string): void => rmSync(lockFile(work), { force: true });
