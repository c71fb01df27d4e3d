/** When the request queue of an attached device is as wished, on kernels that have not all of its attributes. */
import { expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import type { Command } from "../../provider/host/sh";
import { attachment } from "../../provider/resources/attachment";

const wished = {
  scheduler: "none",
  max_sectors_kb: "128",
  nr_requests: "64",
  wbt_lat_usec: "0",
  io_timeout: "10000",
};
const unit =
  "Id=netdisk-attach@t1.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\nUnitFileState=\nFragmentPath=\nDropInPaths=\nNeedDaemonReload=no\nMainPID=0\nInvocationID=\n";

const client = (queue: Record<string, string>): Host =>
  ({
    label: "client",
    exec: ({ text }: Command) => {
      const answer = text.startsWith("systemctl show")
        ? unit
        : text.includes("for attribute in")
          ? Object.entries(queue)
              .map(([attribute, value]) => `${attribute}=${value}\n`)
              .join("")
          : text.includes("/run/netdisk/t1/attached")
            ? "1048576\n4096\n4096\nwrite back\n"
            : text.includes("hung_task")
              ? "0\n120\n"
              : undefined;
      return Promise.resolve({ exitCode: answer === undefined ? 44 : 0, stdout: answer ?? "", stderr: "" });
    },
    readFile: () => Promise.resolve(undefined),
  }) as unknown as Host;

it.each([
  ["all as the script sets them", {}, true],
  ["no writeback throttling in this kernel", { wbt_lat_usec: undefined }, true],
  ["throttling that nobody has set yet", { wbt_lat_usec: "none" }, false],
  ["a scheduler, which gives a request another tag", { scheduler: "mq-deadline" }, false],
  ["requests by the hundred", { nr_requests: "256" }, false],
  ["requests that a dead plugin leaves behind for long", { io_timeout: "30000" }, false],
  // A property of its own.
  ["another read-ahead", { read_ahead_kb: "128" }, true],
])("%s", async (_what, found, queue) => {
  const merged = Object.entries({ ...wished, ...found }).filter(([, value]) => value !== undefined);
  const observed = await attachment.observe(
    client(Object.fromEntries(merged) as Record<string, string>),
    {
      ...{ name: "t1", transport: "session", client: "/opt/nbd/sbin/nbd-client", blockSize: 4096 },
      ...{ timeout: 30, readAhead: 4096, size: "512 MiB", revision: "" },
    } as never,
    { name: "t1" },
  );
  expect(observed).toMatchObject({ is: "present", state: { queue, readAhead: 4096 } });
});
