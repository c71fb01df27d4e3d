/** What a run says of a unit that does not come up, by what systemctl does. */
import { expect, it } from "vitest";
import { systemctl } from "../../provider/resources/chainUnit";
import { commandOf, stubbedShell } from "./stubbedShell";

const unit = "netdisk-mount@t1.service";

it.each([
  ["fails", "exit 1", ""],
  // As timeout(1) ends with that status; the unit tries again every few seconds.
  [
    "never ends",
    "exit 124",
    `systemctl restart ${unit} is not done after 300 s and goes on by itself; its last messages:\n`,
  ],
])("says what the journal has where systemctl %s", (_, ends, before) => {
  const shell = stubbedShell();
  shell.stub("timeout", ends);
  shell.stub("journalctl", "echo 'mount: /mnt/t1: Function not implemented.'");
  const { status, stderr } = shell.run(commandOf(systemctl("restart", { unit, files: [] })));
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: `${before}mount: /mnt/t1: Function not implemented.\n`,
  });
  expect(shell.calls()).toEqual([
    `timeout 300 systemctl restart ${unit}`,
    `journalctl --unit ${unit} --lines 5 --no-pager --output cat`,
  ]);
});
