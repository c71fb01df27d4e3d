/** What is seen of a disk whose server goes out of reach while it is read. */
import { expect, it } from "vitest";
import { NetdiskError } from "../../provider/errors";
import type { Host } from "../../provider/host/host";
import { attachedLayer, readThrough } from "../../provider/resources/layers";

const unit = (state: string) =>
  `Id=netdisk-attach@t1.service\nLoadState=loaded\nActiveState=${state}\nSubState=exited\nResult=success\nUnitFileState=\nFragmentPath=\nDropInPaths=\nNeedDaemonReload=no\nMainPID=0\nInvocationID=\n`;

/** A client with the attached disk t1, whose session says so. */
const clientWith = (session: string): Host =>
  ({
    label: "nas",
    exec: ({ text }: { text: string }) => {
      const stdout = text.includes("systemctl show --")
        ? unit("active")
        : text.includes("value state")
          ? `${session}\n`
          : "/sys/class/block/nbd0\n43:0\n655360\n";
      return Promise.resolve({ exitCode: 0, stdout, stderr: "" });
    },
  }) as unknown as Host;

const timeout = new NetdiskError("TIMEOUT", "nas: `blkid` took longer than 60 s. See what it waits for.");
const look = (session: string, error: Error) =>
  readThrough(clientWith(session), "t1", "/dev/netdisk/t1", () => Promise.reject(error));

it("a look that lasts too long is explained by a server that is out of reach by now", async () => {
  expect(await look("parked", timeout)).toMatchObject({
    is: "hidden",
    by: "the server of /dev/netdisk/t1 is out of reach: its session is parked",
  });
});

it.each([
  ["parked", { hurry: expect.anything() as unknown }],
  ["unknown", {}],
  ["stopped", {}],
])(
  "a session that is %s is waited for, and told to dial only where its plugin answers",
  async (session, passing) => {
    expect(await attachedLayer(clientWith(session), "t1", "/dev/netdisk/t1")).toEqual({
      is: "hidden",
      by: `the server of /dev/netdisk/t1 is out of reach: its session is ${session}`,
      passing,
    });
  },
);

it("and by nothing else: not where the session is up, and no other error", async () => {
  await expect(look("up", timeout)).rejects.toBe(timeout);
  const unreadable = new NetdiskError("UNREADABLE", "nas: what is this. Look.");
  await expect(look("parked", unreadable)).rejects.toBe(unreadable);
});
