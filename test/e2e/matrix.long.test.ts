/**
 * The kill matrix: each act is struck at each of its steps by each blow; the next run converges, and no data is lost.
 * Hours: `npx vitest run --project long test/e2e/matrix.long.test.ts -t 'grows.*SIGKILL'` does one cell, and
 * NETDISK_MATRIX_EVERY=N strikes at every Nth step only.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acts, blows, stepsIn, strikeAt } from "./harness/matrix";
import { startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const every = Number(process.env.NETDISK_MATRIX_EVERY ?? 1);

const rows: string[] = [];
beforeAll(startMounted, minutes(15));
afterAll(() => console.log(["act | blow | steps | struck | converged, nothing lost", ...rows].join("\n")));

const cells = Object.keys(acts).flatMap((act) => Object.keys(blows).map((blow) => ({ act, blow })));

describe("the next run converges when", () => {
  it.each(cells)(
    "$act, struck at each step by $blow",
    async ({ act: name, blow }) => {
      const act = acts[name]!;
      const steps = await stepsIn(act);
      expect(steps.length).toBeGreaterThan(0);
      const failures: string[] = [];
      let struck = 0;
      for (const step of steps.filter((_step, i) => i % every === 0)) {
        try {
          if (await strikeAt(step, act, blows[blow]!)) struck++;
        } catch (error) {
          failures.push(`${step}: ${(error as Error).message}`);
        }
      }
      rows.push(`${name} | ${blow} | ${steps.length} | ${struck + failures.length} | ${struck}`);
      expect(failures).toEqual([]);
      expect(struck).toBeGreaterThan(0);
    },
    minutes(180),
  );
});
