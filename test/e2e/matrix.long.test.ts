/**
 * The kill matrix: each act is struck at each of its steps by each blow; the next run converges, and no data is lost.
 * Hours: `npx vitest run --project long test/e2e/matrix.long.test.ts -t 'grows.*SIGKILL'` does one cell, and
 * NETDISK_MATRIX_EVERY=N strikes at every Nth step only, from step NETDISK_MATRIX_FROM (default 0) on, by each blow at
 * others: NETDISK_MATRIX_EVERY=4 strikes each step once.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acts, type Beginning, blows, prepare, strikeAt } from "./harness/matrix";
import { startMounted } from "./harness/scenario";
import { columns, faultsOf, rowOf, type Tried } from "./harness/tally";

const minutes = (n: number) => n * 60_000;
const every = Number(process.env.NETDISK_MATRIX_EVERY ?? 1);
const from = Number(process.env.NETDISK_MATRIX_FROM ?? 0);

const rows = [`act | blow | ${columns}`];
afterAll(() => console.log(rows.join("\n")));

describe.each(Object.entries(acts))("the next run converges when %s", (name, act) => {
  let beginning: Beginning;
  beforeAll(async () => {
    await startMounted();
    beginning = await prepare(act);
  }, minutes(30));

  it.each(Object.entries(blows))(
    "and is struck at each step by %s",
    async (blowName, blow) => {
      const { steps } = beginning;
      const tried: Tried[] = [];
      const first = from + Object.keys(blows).indexOf(blowName);
      for (const step of steps.filter((_step, i) => i >= from && (i - first) % every === 0)) {
        const one = await strikeAt(step, beginning, blow)
          .then((outcome) => outcome ?? strikeAt(step, beginning, blow))
          .then((outcome) => ({ step, outcome }))
          .catch((error: unknown) => ({ step, error: (error as Error).message }));
        tried.push(one);
        console.log(JSON.stringify(one));
      }
      rows.push(`${name} | ${blowName} | ${rowOf(steps.length, tried)}`);
      console.log(rows.at(-1));
      expect(faultsOf(tried)).toEqual([]);
    },
    minutes(180),
  );
});
