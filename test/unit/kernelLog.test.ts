/** Which words of the client's kernel the tests of faults take for a complaint: all but a few, each with its reason. */
import { expect, it } from "vitest";
import { complaintsIn } from "../e2e/harness/kernelLog";

it.each([
  "INFO: task xfsaild/dm-0:412 blocked for more than 120 seconds.",
  // Newer kernels.
  "INFO: task writer:731 blocked in I/O wait for more than 122 seconds.",
  "block nbd3: Connection timed out",
  "block nbd1: Receive control failed (result -5)",
  "block nbd1: Send control failed (result -5)",
  "block nbd1: shutting down sockets",
  "Buffer I/O error on dev dm-0, logical block 7, lost async page write",
])("complains: %s", (said) => {
  const log = `sh (7): drop_caches: 3\n${said}\n`;
  expect(complaintsIn(log)).toEqual([said]);
  expect(complaintsIn(log, true)).toEqual([said]);
});

it.each([
  "block nbd1: Receive control failed (result -32)",
  "block nbd1: Receive data failed (result -104)",
  "block nbd1: Send data failed (result -32)",
  "block nbd1: Request send failed, requeueing",
  "block nbd1: Dead connection, failed to find a fallback",
  "block nbd1: reconnected socket",
])("complains, but where the connection was ended on purpose: %s", (said) => {
  expect(complaintsIn(`${said}\n`)).toEqual([said]);
  expect(complaintsIn(`${said}\n`, true)).toEqual([]);
});

it("does not complain of a wait", () => {
  const said =
    "block nbd3: Possible stuck request 0000000012345678: control (write@4096,4096B). Runtime 30 seconds\n";
  expect(complaintsIn(said)).toEqual([]);
});
