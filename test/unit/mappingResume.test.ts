/** How a suspended mapping is resumed, run as the shell text that it is. */
import { beforeEach, expect, it } from "vitest";
import { Secret } from "../../schema/secret";
import { mappingPlan } from "./mappingPlan";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
  shell.stub("cryptsetup", "");
});

function resume(keyPassphrase?: Secret): string {
  const steps = mappingPlan({ resumed: false }, keyPassphrase);
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

it("gives a key back that is read otherwise than the last one was", () => {
  shell.stub("dmsetup", "exit 1");
  shell.stub("cryptsetup", "case $* in *--key-file*) exit 2 ;; esac");
  expect(shell.run(resume()).status).toBe(0);
  expect(shell.calls().at(-1)).toBe(
    `cryptsetup luksResume --header ${shell.path("var/lib/netdisk/headers/t1.luks")} t1`,
  );
});

it("needs no passphrase of a sealed key either where the kernel still has the key", () => {
  shell.stub("dmsetup", "");
  shell.stub("gpg", "exit 2");
  expect(shell.run(resume(new Secret("correct horse"))).status).toBe(0);
  expect(shell.calls()).toEqual(["dmsetup resume t1"]);
});
