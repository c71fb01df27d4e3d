/** Which files that were there before are taken over: by what the host answers. */
import { describe, expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import type { Command } from "../../provider/host/sh";
import { backingFile } from "../../provider/resources/backingFile";

const inputs = {
  name: "photos",
  path: "/srv/photos.img",
  size: "1 GiB" as const,
  allocation: "full" as const,
  owner: "nbd",
  mode: "0600",
};

/** `holds`: what takeover.ts finds in it. */
function observe(holds: string, users: string) {
  const script: [RegExp, string][] = [
    [/^stat /, `regular file|${2 ** 30}|${2 ** 21}|512|nbd|600\n`],
    [/^if test -e/, `${holds}\n`],
    [/^file=/, users],
    [/^group=/, ""],
  ];
  const exec = (command: Command) => {
    const stdout = script.find(([words]) => words.test(command.text))?.[1];
    if (stdout === undefined) throw new Error(`not expected: ${command.text}`);
    return Promise.resolve({ exitCode: 0, stdout, stderr: "" });
  };
  const host = { label: "server", exec } as unknown as Host;
  return backingFile.observe(host, inputs, { name: "photos", state: undefined });
}

describe("a file that was there before", () => {
  it.each(["blank", "begins", "made"])("is taken over when nobody uses it: %s", async (holds) => {
    expect(await observe(holds, "")).toMatchObject({ is: "present", state: { exists: true } });
  });

  it.each([
    ["blank", "behind /dev/loop3"],
    ["begins", "process 7 (qemu) has it open"],
  ])("is refused when it is in use: %s, %s", async (holds, user) => {
    expect(await observe(holds, `${user}\n`)).toMatchObject({
      is: "foreign",
      what: `/srv/photos.img is a regular file that netdisk did not make, and in use: ${user}`,
    });
  });

  it("is ours with nbd-server as its user when netdisk made it", async () => {
    expect(await observe("made", "process 8 (nbd-server) has it open\n")).toMatchObject({ is: "present" });
  });
});
