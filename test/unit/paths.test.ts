/** Paths on a host have their place in schema/paths.ts: neither a template nor the provider spells one of netdisk's own. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const checkout = join(__dirname, "../..");

it.each(["templates", "provider"])("%s", (folder) => {
  const files = readdirSync(join(checkout, folder), { recursive: true, withFileTypes: true });
  const spelled = files
    .filter((entry) => entry.isFile())
    .flatMap(({ parentPath, name }) =>
      readFileSync(join(parentPath, name), "utf8")
        .split("\n")
        .filter((line) => !/^\s*(\/?\*|\/\/)/.test(line))
        .filter((line) => /\/(run|var\/lib|etc|dev|usr\/local\/lib)\/netdisk/.test(line))
        .map((line) => `${name}: ${line.trim()}`),
    );
  expect(spelled).toEqual([]);
});
