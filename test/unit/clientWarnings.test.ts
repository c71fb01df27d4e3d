/** What a look at the client warns of although the disk is as wished: what is hidden below it, and a kernel that panics. */
import { expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import type { Command } from "../../provider/host/sh";
import { attachment } from "../../provider/resources/attachment";
import { mount } from "../../provider/resources/mount";

const unit = (text: string) =>
  `Id=${/-- '?([^ ']+)/.exec(text)?.[1] ?? ""}\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\nUnitFileState=\nFragmentPath=\nDropInPaths=\nNeedDaemonReload=no\nMainPID=0\nInvocationID=\n`;

/** A client without the disk's units; `answers`: to commands with these words. Nothing else is there. */
function clientWith(answers: Record<string, string>): Host & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    label: "client",
    exec: ({ text }: Command) => {
      asked.push(text);
      const found = Object.entries(answers).find(([words]) => text.includes(words))?.[1];
      if (found !== undefined) return Promise.resolve({ exitCode: 0, stdout: found, stderr: "" });
      if (text.startsWith("systemctl show"))
        return Promise.resolve({ exitCode: 0, stdout: unit(text), stderr: "" });
      const exitCode = text.startsWith("findmnt") ? 1 : text.includes("ask-password") ? 0 : 44;
      return Promise.resolve({ exitCode, stdout: "", stderr: "" });
    },
    readFile: () => Promise.resolve(undefined),
  } as unknown as Host & { asked: string[] };
}

const at = { name: "t1", unlock: true, type: "xfs", filesystemUuid: "u" } as const;
const seeMount = (client: Host, path: string) =>
  mount.observe(
    client,
    { ...at, options: [], transport: "session", device: "/dev/mapper/t1", path },
    { name: "t1" },
  );

it.each([
  ["3\n", "3 entries of the client's own disk in /home will be hidden"],
  ["1\n", "1 entry of the client's own disk in /home will be hidden"],
])("a mount point that is not empty: %j", async (count, warning) => {
  expect(await seeMount(clientWith({ "readlink -m": "/home\n", "find /home": count }), "/home")).toEqual({
    is: "absent",
    warning: expect.stringContaining(warning) as string,
  });
});

it("an empty mount point is no matter", async () => {
  expect(
    await seeMount(clientWith({ "readlink -m": "/mnt/t1\n", "find /mnt/t1": "0\n" }), "/mnt/t1"),
  ).toEqual({ is: "absent" });
});

const attached = {
  "/run/netdisk/t1/attached": "1048576\n4096\n4096\nwrite back\n",
  hung_task_panic: "1\n120\n",
};
const seeAttachment = (client: Host, transport: "session" | "forward") =>
  attachment.observe(
    client,
    {
      ...{ name: "t1", transport, client: "/opt/nbd/sbin/nbd-client", blockSize: 4096, timeout: 30 },
      ...{ readAhead: 4096, size: "512 MiB", revision: "r", keyReading: "whole" },
    } as never,
    { name: "t1" },
  );

it("a kernel that panics when a task waits, where an outage makes tasks wait", async () => {
  expect(await seeAttachment(clientWith(attached), "session")).toMatchObject({
    is: "present",
    warning: expect.stringMatching(/more than 120 s.*set kernel\.hung_task_panic=0/) as string,
  });
  const forwarding = clientWith(attached);
  expect(await seeAttachment(forwarding, "forward")).not.toHaveProperty("warning");
  expect(forwarding.asked.join("\n")).not.toContain("hung_task");
});
