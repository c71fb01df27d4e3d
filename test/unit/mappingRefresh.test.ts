/** What is written out before a mapping is refreshed, run as the shell text that it is. */
import { beforeEach, expect, it } from "vitest";
import { mappingPlan } from "./mappingPlan";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
  shell.stub("findmnt", "printf '/mnt/a\\n/mnt/b b\\n'");
  shell.stub("sleep", "");
  shell.write("/sys/class/block/t1/stat", "1 0 0 0 5\n");
});

const writeOut = (): string => commandOf(mappingPlan({ workqueuesBypassed: false })[0]);

it("is each file system of the mapping", () => {
  shell.stub("sync", "");
  expect(shell.run(writeOut()).status).toBe(0);
  expect(shell.calls().filter((call) => call.startsWith("sync"))).toEqual([
    "sync -f /mnt/a",
    "sync -f /mnt/b b",
  ]);
});

it("ends the run, with the cure, where it does not come to the server", () => {
  shell.stub("sync", "exit 5");
  const { status, stderr } = shell.run(writeOut());
  expect([status, stderr]).toEqual([
    1,
    "what is written to /mnt/a does not come to the server (sync -f failed with status 5). `netdisk status t1` says why; then run `pulumi up` again.\n",
  ]);
});
