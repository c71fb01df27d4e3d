/** templates/loop.sh, run as it is with stand-ins for losetup and udev. */
import { beforeEach, describe, expect, it } from "vitest";
import { part, render } from "../../provider/template";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

const file = "/var/lib/netdisk/t1.img";
const made = "/etc/netdisk/made/t1";
const note = "/run/netdisk/loop/t1";
const link = "/dev/netdisk/t1";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
  shell.write(file, "");
  shell.run(`mkdir -p /etc/netdisk/made && stat -c '%i %W' ${file} >${made}`);
  // One line for each device that is set up: `/dev/loopN`.
  shell.write("devices", "");
  shell.stub(
    "losetup",
    `case $* in
       *--associated*) cat devices ;;
       --find) n=0; while grep -qx "/dev/loop$n" devices; do n=$((n + 1)); done; echo "/dev/loop$n" ;;
       --detach*) test -e busy || sed -i "\\,^$2\\$,d" devices ;;
       --direct-io=on*) eval "loop=\\\${$(($# - 1))}"; echo "$loop" >>devices
         mkdir -p "sys/class/block/\${loop##*/}/loop"; cat dio >"sys/class/block/\${loop##*/}/loop/dio" ;;
     esac`,
  );
  shell.write("dio", "1\n");
  shell.stub("udevadm", `mkdir -p dev/netdisk; ln -sf "$(tail -n 1 devices)" dev/netdisk/t1`);
  shell.stub("readlink", `shift; exec /bin/readlink "$@"`);
  shell.stub("sleep", "");
});

const run = (verb: string) =>
  shell.run(
    render("loop.sh", {
      ...{ name: "t1", unit: "netdisk-loop@t1.service", file, device: link, note },
      ...{ made, sameFile: part("same-file.sh") },
    }),
    verb,
  );
const devices = () => shell.read("devices");

describe("start", () => {
  it("sets up a device, notes it, and does nothing the second time", () => {
    expect(run("start")).toMatchObject({ status: 0 });
    expect(shell.read(note)).toBe("/dev/loop0\n");
    expect(run("start")).toMatchObject({ status: 0 });
    expect(devices()).toBe("/dev/loop0\n");
  });

  it("sets up a new one where the noted one is gone", () => {
    shell.write(note, "/dev/loop7\n");
    expect(run("start")).toMatchObject({ status: 0 });
    expect(devices()).toBe("/dev/loop0\n");
  });

  it("refuses a file that is behind somebody else's device, for good", () => {
    shell.write("devices", "/dev/loop3\n");
    const { status, stderr } = run("start");
    expect(status).toBe(3);
    expect(stderr).toContain("is already behind /dev/loop3, which netdisk did not set up");
    expect(devices()).toBe("/dev/loop3\n");
  });

  it("leaves no device behind where direct I/O is impossible", () => {
    shell.write("dio", "0\n");
    const { status, stderr } = run("start");
    expect(status).toBe(3);
    expect(stderr).toContain("knows no direct I/O");
    expect(devices()).toBe("");
    expect(shell.calls().filter((call) => call.includes("--sector-size 4096"))).toHaveLength(1);
  });

  it("waits for a file that is not there", () => {
    shell.run(`rm ${file}`);
    expect(run("start")).toMatchObject({ status: 1 });
    expect(shell.calls()).toEqual([]);
  });

  it("waits for the disk's own file where another one lies at its path", () => {
    shell.write(made, "9 1764547200\n");
    const { status, stderr } = run("start");
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^t1: another file than the disk's lies at \S+: inode .*; noted is inode 9 of 2025-12-01T00:00:00Z\. /,
    );
    expect(devices()).toBe("");
  });

  it("says so when udev names another device", () => {
    shell.stub("udevadm", "mkdir -p dev/netdisk; ln -sf /dev/loop9 dev/netdisk/t1");
    expect(run("start")).toMatchObject({ status: 1 });
  });
});

describe("stop", () => {
  it("detaches the device of its making and no other", () => {
    run("start");
    shell.write("devices", "/dev/loop0\n/dev/loop3\n");
    expect(run("stop")).toMatchObject({ status: 0 });
    expect(devices()).toBe("/dev/loop3\n");
    expect(shell.read(note)).toBeUndefined();
  });

  it("detaches it also where another file system lies over the file's directory", () => {
    run("start");
    shell.write("/sys/class/block/loop0/loop/backing_file", `${shell.path(file)}\n`);
    shell.stub(
      "losetup",
      `case $* in --detach*) : >devices; rm sys/class/block/loop0/loop/backing_file ;; esac`,
    );
    expect(run("stop")).toMatchObject({ status: 0 });
    expect(devices()).toBe("");
    expect(shell.read(note)).toBeUndefined();
  });

  it("keeps its note where nobody can tell", () => {
    run("start");
    shell.stub("losetup", "exit 1");
    expect(run("stop")).toMatchObject({ status: 1 });
    expect(shell.read(note)).toBe("/dev/loop0\n");
  });

  it("is content where there is nothing", () => {
    expect(run("stop")).toMatchObject({ status: 0 });
  });

  it("says so when the device stays", () => {
    run("start");
    shell.write("busy", "");
    const { status, stderr } = run("stop");
    expect(status).toBe(1);
    expect(stderr).toContain("/dev/loop0 is still in use");
  });
});
