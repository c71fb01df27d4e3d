/**
 * From one transport to the other and back, in place, with the data; and what brings a disk with a session back after its
 * attachment was given up by hand, or its key was lost.
 */
import { beforeAll, expect, it } from "vitest";
import { lab, mounted, on, powerCycle } from "./harness/lab";
import { status } from "./harness/outage";
import { remarksOn } from "./harness/previewText";
import { pulumi, setDisks, testdisk } from "./harness/project";
import { until } from "./harness/run";
import { expectNoChanges, startMounted, up } from "./harness/scenario";
import { strikeBefore } from "./harness/strike";

const minutes = (n: number) => n * 60_000;
const { path } = testdisk.mount;

let sum = "";
const expectData = async () => {
  await on("client", "sync; echo 3 >/proc/sys/vm/drop_caches");
  expect(await on("client", `sha256sum <${path}/precious`)).toBe(sum);
};

const becomes = (wanted: string) =>
  until(`the session is ${wanted}`, 60, async () => (await status("testdisk")).state === wanted);

/** Whatever is made for one transport says so. */
async function expectNamed(change: string): Promise<void> {
  const { output } = await pulumi(["preview"]);
  const named = /netdisk:index:(\w+) testdisk update \[diff: [^\]]*[~,]transport\b/g;
  const types = new Set([...output.matchAll(named)].map(([, type]) => type));
  expect(types, output).toEqual(new Set(["Attachment", "Mount", "DiskTarget"]));
  for (const type of ["Attachment", "Mount", "DiskTarget"])
    expect(remarksOn(output, type, "testdisk").join("\n")).toContain(`transport: ${change}`);
}

/** Mounted, with nothing left to do, and the data as the server has it. */
async function expectWhole(): Promise<void> {
  await mounted();
  await expectNoChanges();
  await expectData();
}

beforeAll(async () => {
  await startMounted();
  sum = await on("client", `head -c 8M /dev/urandom | tee ${path}/precious | sha256sum && sync -f ${path}`);
}, minutes(15));

it(
  "a forwarded disk gets a session, and stays mounted through the death of its plugin",
  async () => {
    setDisks({ testdisk: { ...testdisk, transport: "session" } });
    await expectNamed('"forward" → "session"');
    await up();
    await becomes("up");
    await expectWhole();
    await on("client", "systemctl kill --signal=KILL --kill-whom=main netdisk-session@testdisk");
    await becomes("up");
    await expectWhole();
  },
  minutes(10),
);

it(
  "an up brings back what was given up by hand",
  async () => {
    await lab("link", "cut");
    await becomes("parked");
    await on("client", "netdisk abort testdisk");
    await lab("link", "heal");
    await up();
    await expectWhole();
  },
  minutes(10),
);

it(
  "a key that was lost and made anew does not lock the disk out",
  async () => {
    await on("client", "rm /etc/netdisk/tunnel/testdisk.ed25519");
    await up();
    await on("client", "pkill -KILL -x ssh");
    await becomes("up");
    await expectWhole();
  },
  minutes(10),
);

it(
  "and goes back to the forwarded port, by a run that is killed before it has removed the session, and a boot of the client",
  async () => {
    setDisks({ testdisk });
    await expectNamed('"session" → "forward"');
    await strikeBefore("SIGKILL of the providers", "systemctl", "stop?netdisk-session@testdisk.service");
    // The stand-in must not come back with the boot.
    await on("client", "sync");
    await powerCycle("client");
    await mounted();
    expect((await status("testdisk")).state, "left behind").toBe("stopped");
    // What is left of the session is none of the disk's any more.
    const device = () => on("client", "readlink -e /dev/netdisk/testdisk");
    const before = await device();
    await on("client", "netdisk abort testdisk");
    expect(await device()).toBe(before);
    await up();
    await expectWhole();
    expect(await on("client", "ls -d /run/netdisk/testdisk 2>/dev/null || test $? = 2")).toBe("");
  },
  minutes(10),
);
