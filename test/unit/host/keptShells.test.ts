/** Where one command's output ends, in a shell that goes on: its host need not mean well. */
import { describe, expect, it } from "vitest";
import { KeptShells, UntilNotice } from "../../../provider/host/keptShells";
import type { ProcessListener, StartOptions, Transport } from "../../../provider/host/transport";

const notice = "netdisk: end 0123456789ab ";

/** What belongs to the command, and its exit status. */
function heard(...chunks: string[]): [string, number | undefined] {
  const output = new UntilNotice(notice);
  const texts = chunks.map((chunk) => output.add(Buffer.from(chunk)).toString());
  return [texts.join(""), output.exitCode];
}

describe("UntilNotice", () => {
  it.each([
    ["at once", [`hi\n${notice}0\n`], ["hi\n", 0]],
    ["byte by byte", Array.from(`hi${notice}255\n`), ["hi", 255]],
    [
      "with its beginning in the output",
      [`netdisk: netdisk: end`, ` 0 ${notice}1`, "2", "\n"],
      ["netdisk: netdisk: end 0 ", 12],
    ],
    ["with a daemon's words behind it", [`${notice}0\nmore`, "more"], ["", 0]],
    ["not yet", [`hi ${notice}12`], ["hi ", undefined]],
  ] as [string, string[], [string, number | undefined]][])("finds the end: %s", (_, chunks, found) => {
    expect(heard(...chunks)).toEqual(found);
  });

  it.each(["\n", "x\n", "-1\n", "1234", "0 \n", "1x"])("takes %j for no exit status", (said) => {
    expect(() => heard(`hi${notice}${said}`)).toThrow("no exit status");
    expect(() => heard(`hi${notice}`, ...Array.from(said))).toThrow("no exit status");
  });
});

describe("KeptShells", () => {
  const kept = { shell: () => ({ line: "sh", input: "" }), command: "true\n", endNotice: notice };

  it("gives up a shell that ends no command, and takes another one for the next", async () => {
    const answers = [`${notice}${"0".repeat(100)}`, `${notice}0\n`];
    const stopped: boolean[] = [];
    const transport: Transport = {
      label: "a host",
      login: () => Promise.resolve({ user: "root" }),
      close: () => Promise.resolve(),
      start: (_line: string, listener: ProcessListener, { signal, feed }: StartOptions) => {
        const answer = Buffer.from(answers.shift() ?? "");
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            stopped.push(true);
            resolve();
          });
          feed?.(() => {
            listener.onStdout(answer);
            listener.onStderr(answer);
          });
        });
      },
    };
    const shells = new KeptShells(transport);
    const exits: number[] = [];
    const listener: ProcessListener = {
      onStart: () => {},
      onStdout: () => {},
      onStderr: () => {},
      onExit: (exitCode) => exits.push(exitCode),
    };
    const run = () => shells.start("", listener, { kept, signal: new AbortController().signal });
    await expect(run()).rejects.toMatchObject({
      code: "UNREADABLE",
      message: expect.stringMatching(/^a host: .* no exit status: "0000"\. See on the host /) as string,
    });
    expect(stopped).toEqual([true]);
    await run();
    expect(exits).toEqual([0]);
  });
});
