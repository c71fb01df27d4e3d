/** How a suspended mapping is resumed, run as the shell text that it is. */
import { beforeEach, expect, it } from "vitest";
import { mapping } from "../../provider/resources/mapping";
import { Secret } from "../../schema/secret";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
  shell.stub("cryptsetup", "");
});

const suspended = {
  is: "present" as const,
  state: {
    installed: true,
    active: true,
    whole: true,
    resumed: false,
    workqueuesBypassed: true,
    discardsWithheld: true,
  } as never,
};

function resume(keyPassphrase?: Secret): string {
  const steps = mapping.plan(
    suspended,
    {
      ...{ name: "t1", device: "/dev/netdisk/t1", header: "/var/lib/netdisk/headers/t1.luks" },
      ...{ keyFile: "/etc/netdisk/keys/t1.key", keyPassphrase, keyReading: "whole", unlock: true },
      ...{ luksUuid: "5796cca7-6149-42b5-ab40-e765711a3551", cipher: "aes-xts-plain64" },
    },
    { name: "t1" },
  );
  expect(steps).toHaveLength(1);
  return commandOf(steps[0]);
}

it("asks for no key where the kernel still has it", () => {
  shell.stub("dmsetup", "");
  expect(shell.run(resume()).status).toBe(0);
  expect(shell.calls()).toEqual(["dmsetup resume t1"]);
});

it("gives the key back where it was wiped", () => {
  shell.stub("dmsetup", "echo resume ioctl failed >&2; exit 1");
  expect(shell.run(resume())).toMatchObject({ status: 0, stderr: "" });
  expect(shell.calls().at(-1)).toBe(
    `cryptsetup luksResume --header ${shell.path("var/lib/netdisk/headers/t1.luks")} --key-file ${shell.path("etc/netdisk/keys/t1.key")} t1`,
  );
});

it("needs no passphrase of a sealed key either where the kernel still has the key", () => {
  shell.stub("dmsetup", "");
  shell.stub("gpg", "exit 2");
  expect(shell.run(resume(new Secret("correct horse"))).status).toBe(0);
  expect(shell.calls()).toEqual(["dmsetup resume t1"]);
});
