import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { join, quote, sh, type Hole } from "../../../provider/host/sh";
import { Secret } from "../../../schema/secret";

/** What a real shell makes of it: the words, told apart by NUL bytes. */
const words = (text: string): string[] =>
  execFileSync("/bin/sh", ["-c", `printf '%s\\0' ${text}`], { encoding: "utf8" })
    .split("\0")
    .slice(0, -1);

const table: [string, string][] = [
  ["", "''"],
  ["plain", "plain"],
  ["/dev/disk/by-id/wwn-0x5000:1", "/dev/disk/by-id/wwn-0x5000:1"],
  ["--size=20", "--size=20"],
  ["A=b", "'A=b'"],
  ["two words", "'two words'"],
  ["it's", `'it'\\''s'`],
  ["'", `''\\'''`],
  ["$HOME", "'$HOME'"],
  ["`id`", "'`id`'"],
  ["a;b", "'a;b'"],
  ["*", "'*'"],
  ["~", "'~'"],
  ["#", "'#'"],
  ["!", "'!'"],
  ["a\\b", "'a\\b'"],
  ["line\nbreak", "'line\nbreak'"],
  ["trailing\n", "'trailing\n'"],
  ["-n", "-n"],
  ["ünïcode 🖴", "'ünïcode 🖴'"],
];

describe("quote", () => {
  it.each(table)("%j becomes %s, and a shell reads it back", (word, quoted) => {
    expect(quote(word)).toBe(quoted);
    expect(words(quote(word))).toEqual([word]);
  });

  it("keeps every byte that a word can hold", () => {
    const all = Array.from({ length: 127 }, (_, i) => String.fromCharCode(i + 1));
    expect(words(quote(all.join("")))).toEqual([all.join("")]);
    expect(words(all.map(quote).join(" "))).toEqual(all);
  });

  it("refuses a NUL byte, which would cut the word", () => {
    expect(() => quote("a\0b")).toThrow("NUL");
  });
});

describe("sh", () => {
  it("quotes text, numbers and every word of a list; a command goes in as it is", () => {
    const inner = sh`test -e ${"/a b"}`;
    expect(sh`if ${inner}; then truncate -s ${1024} ${["x", "y z"]}; fi`.text).toBe(
      "if test -e '/a b'; then truncate -s 1024 x 'y z'; fi",
    );
  });

  it("makes no word of an empty list, but one of an empty text", () => {
    expect(words(sh`a ${[]} b ${""}`.text)).toEqual(["a", "b", ""]);
  });

  it("does not run what looks like a command in a hole", () => {
    const evil = "'; touch /tmp/owned; '$(id)`id`";
    expect(words(sh`${evil}`.text)).toEqual([evil]);
  });

  it("joins commands so that the first failure ends the chain", () => {
    expect(join(sh`false`, sh`echo ${"b c"}`).text).toBe("false && echo 'b c'");
  });

  it("refuses a secret, at compile time and at run time", () => {
    const key = new Secret("hunter2");
    // @ts-expect-error a Secret is no hole
    expect(() => sh`cryptsetup ${key}`).toThrow("pass it on stdin");
    // @ts-expect-error nor part of a list
    expect(() => sh`cryptsetup ${["a", key]}`).toThrow("pass it on stdin");
  });

  it.each([undefined, null, true, {}, Number.NaN, Infinity])("refuses %s", (hole) => {
    expect(() => sh`echo ${hole as Hole}`).toThrow("cannot be part of a command line");
  });
});
