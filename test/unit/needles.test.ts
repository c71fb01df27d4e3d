/** The search of the secrets test finds what it must: a search that misses everything would pass there. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { findIn, findInFile, needlesOf } from "../e2e/harness/needles";

const secret = Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 37 + 11) % 256));
const needles = needlesOf("key", secret);
const folder = mkdtempSync(join(tmpdir(), "needles-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("a secret is found", () => {
  const around = (bytes: Buffer) => Buffer.concat([Buffer.from("before "), bytes, Buffer.from(" after")]);

  it("as it is, and in hex of either case", () => {
    expect(findIn(around(secret), needles)).toEqual({ "key, raw": 1 });
    expect(findIn(around(Buffer.from(secret.toString("hex"))), needles)).toEqual({ "key, hex": 1 });
    expect(findIn(around(Buffer.from(secret.toString("hex").toUpperCase())), needles)).toEqual({
      "key, HEX": 1,
    });
  });

  it.each([0, 1, 2, 3, 4, 5])("in base64 of a text that holds it after %d bytes", (before) => {
    const text = Buffer.concat([Buffer.alloc(before, "x"), secret, Buffer.from("yz")]).toString("base64");
    expect(Object.keys(findIn(Buffer.from(text), needles))).toEqual([`key, base64 +${before % 3}`]);
  });

  it("across the border of two chunks of a file, once", () => {
    const path = join(folder, "large");
    const content = Buffer.alloc(20 * 2 ** 20);
    for (const at of [8 * 2 ** 20 - 30, 16 * 2 ** 20, 20 * 2 ** 20 - secret.length]) secret.copy(content, at);
    writeFileSync(path, content);
    expect(findInFile(path, needles)).toEqual({ "key, raw": 3 });
  });
});
