/**
 * What the article's stack makes, compared with what the article's commands make (recipe/*.sh) on two other new hosts:
 * what the hosts' own tools say of both. What may differ is the last table of docs/article.md, each row with its reason.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { articleStack, backingFile, keyFile } from "./harness/article";
import { describeDisk, type Description, type Difference, differencesOf } from "./harness/comparison";
import { deactivate, makeByHand } from "./harness/handMade";
import { lab, mounted, on } from "./harness/lab";
import { newProject } from "./harness/project";
import { checkout } from "./harness/run";
import { ladder, makePrepared, prepared, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

/** Rows of the table below the heading, each cell as it is read. */
const [, table = ""] = readFileSync(join(checkout, "docs/article.md"), "utf8").split("## Side by side\n");
const rows = table.split("\n").filter((line) => line.startsWith("|"));
const reasons = rows.slice(2).map((row) => {
  const [what = "", byHand = "", netdisk = "", why = ""] = row
    .split("|")
    .slice(1)
    .map((cell) => cell.trim().replace(/^`(.*)`$/, "$1"));
  return { what, byHand, netdisk, why };
});

describe("the recipe by hand and the article's stack", () => {
  beforeAll(makePrepared, minutes(40));
  const step = ladder();
  let netdisk: Description;
  let byHand: Description;

  step(
    "the stack makes a disk",
    async () => {
      await prepared(articleStack);
      await up();
      await mounted();
      netdisk = await describeDisk({ device: "/dev/netdisk/testdisk", key: keyFile, file: backingFile });
    },
    minutes(20),
  );

  step(
    "the article's commands make one on two new hosts",
    async () => {
      await lab("reset");
      await newProject();
      await makeByHand("built");
      byHand = await describeDisk({ device: "/dev/nbd0", key: "/root/testdisk-key.asc", file: backingFile });
    },
    minutes(40),
  );

  step("they differ in what docs/article.md lists, and in nothing else", async () => {
    for (const { what, why } of reasons) expect(why.length, `the reason of ${what}`).toBeGreaterThan(10);
    const expected = reasons.map(({ what, byHand, netdisk }) => ({ what, byHand, netdisk }));
    const byName = (a: Difference, b: Difference) => a.what.localeCompare(b.what);
    expect(differencesOf(byHand, netdisk).sort(byName)).toEqual(expected.sort(byName));
  });

  step("by hand it is deactivated", async () => {
    await deactivate();
    expect(await on("client", "cat /sys/block/nbd0/size")).toBe("0");
  });
});
