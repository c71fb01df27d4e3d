/** agent/packages: what the plugin is built and tested with. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sessionPackages } from "../../schema/clientPackages";

it("the plugin's own tests have all that a client builds it with", () => {
  const listed = readFileSync(join(__dirname, "../../agent/packages"), "utf8").split("\n");
  expect(sessionPackages.filter((name) => !listed.includes(name))).toEqual([]);
});
