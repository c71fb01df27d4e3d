/** What the shell on a host says of itself comes before any fact's own understanding of the answer. */
import { describe, expect, it } from "vitest";
import { NetdiskError } from "../../provider/errors";
import { ask } from "../../provider/fact";
import { blkidProbe } from "../../provider/facts/blkid";
import { luksOpens } from "../../provider/facts/cryptsetup";
import { gpgCheck, gpgKeyBytes } from "../../provider/facts/gpg";
import { sessionState } from "../../provider/facts/session";
import { passwdAccount } from "../../provider/facts/passwd";
import { starts } from "../../provider/facts/nbdBuild";
import type { ExecResult, Host } from "../../provider/host/host";
import { answeringHost } from "./observationCase";

const answers = (answer: Partial<ExecResult>): Host => ({
  ...answeringHost({ commands: {}, files: {} }),
  exec: () => Promise.resolve({ exitCode: 0, stdout: "", stderr: "", ...answer }),
});

const errorOf = async (answer: Promise<unknown>): Promise<NetdiskError> => {
  const error: unknown = await answer.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(NetdiskError);
  return error as NetdiskError;
};

describe("a program that the shell did not find", () => {
  const kept = "sh: 2: eval: gpg: not found\n";

  const check = (host: Host) => ask(host, gpgCheck, "/sealed", "/key", "/header");
  const length = (host: Host) => ask(host, gpgKeyBytes, "/key");
  const hidden = `${kept}the passphrase does not open /key; give the one that it was sealed with\n`;
  const places: [string, Partial<ExecResult>, (host: Host) => Promise<unknown>][] = [
    ["in a pipe that ends well", { stdout: "locked\n", stderr: "sh: 4: gpg: not found\n" }, check],
    ["in a kept shell", { stdout: "locked\n", stderr: kept }, check],
    ["behind a status that means something else", { exitCode: 46, stderr: hidden }, length],
    ["by bash", { stdout: "locked\n", stderr: "sh: line 4: gpg: command not found\n" }, check],
  ];

  it.each(places)("%s is NO_TOOL", async (_where, answer, question) => {
    const { code, message } = await errorOf(question(answers(answer)));
    expect(code).toBe("NO_TOOL");
    expect(message).toMatch(/gpg: (command )?not found\. Install the program's package on the host/);
  });

  it("is not taken for a key that does not open the header", async () => {
    const { code } = await errorOf(
      ask(answers({ exitCode: 46, stderr: hidden }), luksOpens, "/h", "/k", true),
    );
    expect(code).toBe("NO_TOOL");
  });

  it("is said by a script of ours in its own name, and by a program that is asked whether it starts: both answer", async () => {
    const script = "/usr/local/lib/netdisk/session@photos";
    const stderr = `${script}: 9: netdisk-session: not found\n`;
    expect(await ask(answers({ stderr }), sessionState, script)).toBe("stopped");
    const stdout = "sh: 1: /opt/nbd/sbin/nbd-client: not found\n";
    expect(await ask(answers({ exitCode: 127, stdout }), starts, "/opt/nbd/sbin/nbd-client")).toBe(false);
  });
});

describe("a shell that cannot start anything", () => {
  const questions: [string, (host: Host) => Promise<unknown>][] = [
    ["an account", (host) => ask(host, passwdAccount, "nbd")],
    ["a signature", (host) => ask(host, blkidProbe, "/dev/mapper/photos")],
    ["a key slot", (host) => ask(host, luksOpens, "/header", "/key")],
  ];

  it.each(questions)("ends with 2, which is not the absence of %s", async (_thing, question) => {
    for (const stderr of ["sh: 1: eval: Cannot fork\n", "sh: 1: Cannot fork\n", "sh: 3: Out of space\n"]) {
      const { code, message } = await errorOf(question(answers({ exitCode: 2, stderr })));
      expect(code).toBe("UNREADABLE");
      expect(message).toMatch(/no memory or no process left[^]* then run `pulumi up` again\.$/);
    }
  });
});
