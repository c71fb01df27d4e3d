/** What may come to the operator's terminal of text that a host wrote. */
import { afterEach, expect, it, vi } from "vitest";
import { printable } from "../../provider/printable";
import { maskOf, progressOf } from "../../provider/progress";
import type { Log } from "../../provider/wire/engine";
import { Secret } from "../../schema/secret";

const clipboard = "\x1b]52;c;cm0gLXJmIC8=\x07";

it.each([
  ["words, tabs and lines stay", "größer\tals\n  日本 🙂\n", "größer\tals\n  日本 🙂\n"],
  ["the clipboard", clipboard, "\ufffd]52;c;cm0gLXJmIC8=\ufffd"],
  ["the cursor", "\x1b[1A\x1b[2KERASED", "\ufffd[1A\ufffd[2KERASED"],
  ["one that Pulumi takes out, with one in it", "\x1b\x1b[0m[2J", "\ufffd\ufffd[0m[2J"],
  ["one of C1, and DEL", "\u009b2J\u009d0;title\u009c\u0085\x7f", "\ufffd2J\ufffd0;title\ufffd\ufffd\ufffd"],
  ["NUL, backspace, vertical tab, form feed", "a\0b\bc\vd\fe", "a\ufffdb\ufffdc\ufffdd\ufffde"],
  ["carriage returns", "refused\rdone\r\nnext\r\r\nlast\r", "refused\ndone\nnext\nlast\n"],
  [
    "the direction",
    "\u202etxt.exe\u202c \u2066a\u2069\u200f\u061c",
    "\ufffdtxt.exe\ufffd \ufffda\ufffd\ufffd\ufffd",
  ],
  ["a colour of Pulumi's", "<{%fg 1%}>error<{%reset%}>", "<{ %fg 1%}>error<{ %reset%}>"],
])("takes from a host's text what controls a terminal: %s", (_, text, shown) => {
  expect(printable(text)).toBe(shown);
  expect(printable(shown)).toBe(shown);
});

afterEach(() => vi.useRealTimers());

it("says nothing on a resource's line that controls a terminal, and no part of a secret", async () => {
  vi.useFakeTimers();
  const said: string[] = [];
  const log: Log = { say: (_urn, message) => said.push(message), attach: () => {} };
  const progress = progressOf(log, "urn", maskOf({ passphrase: new Secret(`correct\x1bhorse`) }));
  progress.say(`the file holds ${clipboard}`);
  await progress.during(`rm ${clipboard}`, async (onLine) => {
    onLine(`${"x".repeat(190)}correct\x1bhorse${clipboard}`);
    await vi.advanceTimersByTimeAsync(3000);
  });
  expect(said).toEqual([
    "the file holds \ufffd]52;c;cm0gLXJmIC8=\ufffd",
    ...[2, 3].map((s) => `rm \ufffd]52;c;cm0gLXJmIC8=\ufffd (${s} s): ${"x".repeat(190)}***\ufffd]52;c;`),
  ]);
});
