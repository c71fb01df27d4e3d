/** A disk is only unmounted by a run when its server has what was written, run as the shell text that it is. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { takeDown } from "../../provider/resources/takeDown";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

// Whoever uses the disk is looked for among all processes of this machine.
vi.setConfig({ testTimeout: 120_000 });

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
  shell.write("/dev/mapper/t1", Buffer.alloc(65536));
  shell.write("/sys/class/block/t1/dev", "253:7\n");
  shell.write("mountinfo", `99 1 253:7 / ${shell.path("mnt/my\\040disk")} rw - xfs /dev/mapper/t1 rw\n`);
  shell.write("/mnt/my disk/file", "");
  shell.stub("systemctl", 'case "$*" in *ActiveState*) echo active ;; esac');
  shell.stub("dmsetup", "echo 0");
  shell.stub("sync", "");
  shell.stub("umount", ":> mountinfo");
  shell.stub("xfs_logprint", 'echo "    log tail: 2 head: 2 state: <CLEAN>"');
  shell.write("bdi", "BdiWriteback:             1024 kB\nBdiReclaimable:           3000 kB\nDirtied: 9 kB\n");
});

const run = () =>
  shell.run(
    takeDown("t1")
      .text.replaceAll("/proc/1/mountinfo", shell.path("mountinfo"))
      .replaceAll("/sys/kernel/debug/bdi/$number/stats", shell.path("bdi"))
      .replaceAll("bounded 60", "bounded 1"),
  );
const called = (words: string) => shell.calls().some((call) => call.startsWith(words));
const mount = "netdisk-mount@t1.service";

it("unmounts what its server has", () => {
  // The mapping's file stays, so that the last proof fails.
  expect(run().stderr).toMatch(/t1 is still there, although nobody uses it/);
  const order = shell.calls().filter((call) => /^(sync|umount|xfs_logprint)/.test(call));
  expect(order.map((call) => call.split(" ")[0])).toEqual(["sync", "umount", "xfs_logprint"]);
  expect(order[0]).toBe(`sync -f ${shell.path("mnt/my disk")}`);
});

it("unmounts what the chain mounts only now, because the device was attached a moment ago", () => {
  const mounted = shell.read("mountinfo") ?? "";
  shell.write("mountinfo", "");
  shell.write("later", mounted);
  shell.stub("dmsetup", "if test -s mountinfo || test -e later; then echo 1; else echo 0; fi");
  shell.stub("sleep", "test ! -e later || mv later mountinfo");
  expect(run().stderr).toMatch(/t1 is still there, although nobody uses it/);
  expect(called("umount")).toBe(true);
});

describe.each([
  ["fails", "exit 1", "sync -f failed with status 1"],
  ["never ends", "exec sleep 20", "sync -f got nothing done for 1 s"],
])("where writing out %s", (_, sync, why) => {
  beforeEach(() => shell.stub("sync", sync));

  it("refuses before anything is unmounted, and names what is unwritten and the cure", () => {
    const { status, stderr } = run();
    expect(status).toBe(75);
    expect(stderr).toContain(
      `the disk t1 cannot be taken down now: its server does not take what is written to`,
    );
    expect(stderr).toContain(`(${why}); 4024 kB of it are not on the server yet`);
    expect(stderr.trimEnd().split("\n").at(-1)).toBe(
      "Bring the server back, or give up what it does not have (systemctl stop netdisk@t1.target on this host); then run the same again.",
    );
    expect(called("umount") || called("systemctl stop")).toBe(false);
  });
});

it("waits for a server that is slow, as long as it gets on", () => {
  const stat = shell.path("sys/class/block/t1/stat");
  shell.stub("sync", `for n in 1 2 3 4 5; do sleep 0.6; echo "7 0 0 0 $n" >${stat}; done`);
  expect(run().stderr).not.toMatch(/does not take/);
  expect(called("umount")).toBe(true);
});

it("says what it can where the kernel does not tell about this disk", () => {
  shell.stub("sync", "exit 1");
  shell.write("bdi", "");
  expect(run().stderr).toMatch(/what was written last is not on the server yet \(.* \d+ kB wait\)/);
});

it.each([
  ["cannot be read any more", "dd", "exit 1"],
  ["shut down, so that its log is left to be recovered", "xfs_logprint", 'echo "state: <DIRTY>"'],
])("does not call it success when the file system %s", (_, tool, says) => {
  shell.stub(tool, says);
  const { status, stderr } = run();
  expect(status).toBe(75);
  expect(stderr).toMatch(/its server went away while \S+mnt\/my disk was unmounted/);
  expect(called(`systemctl restart --no-block ${mount}`)).toBe(true);
  expect(called("systemctl stop")).toBe(false);
});

describe("a disk of a session", () => {
  const session = "/usr/local/lib/netdisk/session@t1";
  const stopped = () => shell.calls().filter((call) => call.startsWith("systemctl stop"));
  const attached = (pid: string) => {
    shell.write("/run/netdisk/t1/attached", "nbd3 7\n");
    shell.write("/sys/block/nbd3/pid", `${pid}\n`);
  };
  const as = (state: string, link = "netdisk-session@t1.service") => {
    const there = shell.path("active");
    shell.write("active", "");
    shell.stub(
      "systemctl",
      `case "$*" in
  *SubState*) echo exited ;;
  *Wants*) echo "other.service ${link}" ;;
  *ActiveState*) echo active ;;
  is-active*) test -e ${there} ;;
  "stop "*netdisk-attach@t1*) rm -f ${there} ;;
esac`,
    );
    shell.write("session", `#!/bin/sh\n[ "$2" != state ] || echo ${state}\n`);
    shell.run(`chmod +x ${shell.path("session")}`);
    return shell.run(takeDown("t1").text.replaceAll(session, shell.path("session")));
  };

  it("that was given up is left to its units, and so is its plugin, which takes no other", () => {
    const { status, stderr } = as("ended");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stopped()).toEqual([
      `systemctl stop ${mount} netdisk-open@t1.service netdisk-attach@t1.service`,
      "systemctl stop netdisk-session@t1.service",
    ]);
  });

  it("whose note is gone, but not its device, stays as it is", () => {
    shell.run(`mkdir -p ${shell.path("dev/netdisk")} && ln -s /dev/null ${shell.path("dev/netdisk/t1")}`);
    expect(as("parked").status).toBe(75);
    expect(stopped()).toEqual([]);
  });

  it("is none any more where the attachment stands on a tunnel, whatever is left of the session", () => {
    shell.write("/dev/netdisk/t1", "");
    expect(as("parked", "netdisk-tunnel@t1.service").stderr).not.toContain("out of reach");
  });

  it("that is attached and has lost its server stays as it is", () => {
    attached("7");
    const { status, stderr } = as("parked");
    expect(status).toBe(75);
    expect(stderr).toContain("its server is out of reach (parked: )");
    expect(stopped()).toEqual([]);
  });
});
