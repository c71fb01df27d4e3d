/** The scripts that open and mount, as they lie on a client, against disks that are dead, lying or strange. */
import { beforeEach, describe, expect, it } from "vitest";
import { render } from "../../provider/template";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
});

/** Statuses: 1 is tried again by systemd, 3 is not (RestartPreventExitStatus). */
const again = 1;
const refused = 3;
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";

/** `session`: what is asked of the session, of a disk that has one. */
const mountScript = (session: string): string =>
  render("mount.sh", {
    name: "t1",
    unit: "netdisk-mount@t1.service",
    device: "/dev/mapper/t1",
    path: "/mnt/t1",
    type: "xfs",
    options: "noatime,allocsize=64m",
    listed: "noatime,allocsize=65536k",
    uuid,
    attach: "netdisk-attach@t1.service",
    session,
  });

describe("mount.sh start", () => {
  const script = mountScript("");
  const start = () => shell.run(script, "start");
  const called = (name: string) => shell.calls().some((call) => call.startsWith(`${name} `));

  beforeEach(() => {
    shell.write("/dev/mapper/t1", Buffer.alloc(65536));
    shell.stub("blkid", `echo ${uuid}`);
    shell.stub("chattr", "");
    shell.stub("mount", "");
  });

  it("makes the bare mount point immutable before it mounts", () => {
    expect(start().status).toBe(0);
    expect(shell.calls().filter((call) => !call.startsWith("blkid"))).toEqual([
      `chattr +i ${shell.path("mnt/t1")}`,
      `mount -t xfs -o noatime,allocsize=64m ${shell.path("dev/mapper/t1")} ${shell.path("mnt/t1")}`,
    ]);
  });

  it("says how many entries are hidden, and leaves them alone", () => {
    shell.write("/mnt/t1/photo", "");
    shell.write("/mnt/t1/.hidden", "");
    expect(start().stdout).toMatch(/^2 entries .* are hidden below \S+mnt\/t1 while/);
    expect(called("chattr")).toBe(false);
    expect(called("mount")).toBe(true);
  });

  it("mounts where the flag cannot be set, and says so", () => {
    shell.stub("chattr", "echo not supported; exit 1");
    const { status, stdout } = start();
    expect(status).toBe(0);
    expect(stdout).toContain("stays writable while nothing is mounted there: not supported");
  });

  it("tries again when the disk cannot be read, and refuses another one", () => {
    shell.stub("blkid", "exit 2");
    expect(start().status).toBe(refused);
    shell.stub("dd", "exit 1");
    expect(start().status).toBe(again);
    shell.stub("blkid", "exit 4");
    expect(start().status).toBe(again);
    shell.stub("blkid", "echo 1-2");
    expect(start().status).toBe(refused);
    expect(called("mount")).toBe(false);
  });
});

describe("mount.sh reload", () => {
  const reload = (listed: string) => {
    shell.stub("mount", "");
    shell.stub("findmnt", `echo ${listed}`);
    return shell.run(mountScript(""), "reload");
  };

  it("is content with what the kernel lists in its own way", () => {
    expect(reload("rw,noatime,inode64,allocsize=65536k")).toMatchObject({ status: 0, stderr: "" });
  });

  it("says which option the kernel did not take", () => {
    const { status, stderr } = reload("rw,noatime,inode64,allocsize=64k");
    expect(status).toBe(refused);
    expect(stderr).toBe(
      "allocsize=65536k takes effect at the next mount only. Run: systemctl restart netdisk-mount@t1.service\n",
    );
  });
});

describe("mount.sh stop", () => {
  const script = mountScript("session");

  it("gives a disk up whose writers wait for a server that is out of reach, and fails by that", () => {
    shell.stub("awk", `test -e unmounted || echo 253:0 ${shell.path("dev/mapper/t1")}`);
    shell.stub("umount", "if test -e given-up; then touch unmounted; else echo target is busy; exit 32; fi");
    shell.stub("systemctl", "exit 1");
    // As the real one: whoever still runs after a while waits for the server.
    shell.stub(
      "session",
      `case $1 in
        watch) sleep 0.3; ! grep -qs '^State:[[:space:]]*[RSD]' /proc/$2/status || touch given-up ;;
        unharmed) test ! -e given-up ;;
      esac`,
    );
    shell.stub("sync", "");
    expect(shell.run(script, "stop").status).toBe(1);
    expect(shell.calls().filter((call) => /^(umount|sync)/.test(call))).toEqual(
      Array(2).fill(`umount ${shell.path("mnt/t1")}`),
    );
  });
});

describe("open.sh start", () => {
  const scriptFor = (reading: string) =>
    render("open.sh", {
      name: "t1",
      unit: "netdisk-open@t1.service",
      device: "/dev/netdisk/t1",
      header: "/var/lib/netdisk/headers/t1.luks",
      key: "/etc/netdisk/keys/t1.key",
      sealed: "no",
      reading,
      question: "netdisk:t1",
      uuid,
      cipher: "aes-xts-plain64",
    });
  const script = scriptFor("whole");
  const start = () => shell.run(script, "start");
  const headerOf = (id: string) => {
    const bytes = Buffer.alloc(65536, 7);
    bytes.write("LUKS\xba\xbe", 0, "latin1");
    bytes.fill(0, 168, 208).write(id, 168);
    return bytes;
  };
  const opened = () => shell.calls().some((call) => call.startsWith("cryptsetup open"));

  beforeEach(() => {
    shell.write("/var/lib/netdisk/headers/t1.luks", headerOf(uuid));
    shell.write("/dev/netdisk/t1", headerOf(uuid));
    shell.write("/sys/class/block/t1/dev", "43:0\n");
    shell.stub("cryptsetup", `case $1 in luksUUID) echo ${uuid} ;; open) touch open ;; esac`);
    shell.stub(
      "dmsetup",
      `test -e open || exit 1; case $1 in table) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;; esac`,
    );
    shell.stub("blkid", "exit 99");
  });

  it("opens with the client's header, and shows the device to no parser", () => {
    expect(start()).toMatchObject({ status: 0, stdout: expect.stringContaining("opened over") as string });
    expect(shell.calls().some((call) => call.startsWith("blkid"))).toBe(false);
    expect(shell.calls().find((call) => call.startsWith("cryptsetup open"))).toContain("--header");
  });

  it.each([
    ["whole", "all\nof it\n"],
    ["first line", "all"],
  ])("gives cryptsetup the key: %s", (reading, key) => {
    shell.write("/etc/netdisk/keys/t1.key", "all\nof it\n");
    const takes = `case $* in *--key-file\\ */t1.key*) cat ${shell.path("etc/netdisk/keys/t1.key")} ;; *) IFS= read -r line; printf %s "$line" ;; esac >given; touch open`;
    shell.stub("cryptsetup", `case $1 in luksUUID) echo ${uuid} ;; open) ${takes} ;; esac`);
    expect(shell.run(scriptFor(reading), "start").status).toBe(0);
    expect(shell.read("given")).toBe(key);
  });

  it.each([
    ["zeros", Buffer.alloc(65536)],
    ["noise", Buffer.alloc(65536, 3)],
  ])("opens where the device's header is %s, and warns", (_, bytes) => {
    shell.write("/dev/netdisk/t1", bytes);
    expect(start()).toMatchObject({ status: 0, stdout: expect.stringContaining("no LUKS header") as string });
  });

  it("refuses another container", () => {
    shell.write("/dev/netdisk/t1", headerOf("00000000-6149-42b5-ab40-e765711a3551"));
    expect(start().status).toBe(refused);
    expect(opened()).toBe(false);
  });

  it("tries again when the device cannot be read", () => {
    shell.stub("dd", "exit 1");
    expect(start().status).toBe(again);
    expect(opened()).toBe(false);
  });

  it.each([1, 2, 3, 4])("tries again when cryptsetup open ends with %i", (status) => {
    shell.stub("cryptsetup", `case $1 in luksUUID) echo ${uuid} ;; open) exit ${status} ;; esac`);
    expect(start().status).toBe(again);
  });
});

describe("session.sh start", () => {
  const MiB = 2 ** 20;
  const script = render("session.sh", {
    name: "t1",
    unit: "netdisk-session@t1.service",
    device: "/dev/netdisk/t1",
    dir: "/run/netdisk/t1",
    givenUp: "/var/lib/netdisk/given-up/t1",
    helper: "netdisk-helper",
    plugin: "plugin.so",
    retain: 64 * MiB,
    client: "nbd-client",
    sshConfig: "ssh_config",
    settings: "",
  });
  const retained = () => {
    shell.stub("nbdkit", "");
    expect(shell.run(script, "start").status).toBe(0);
    return /\bretain=(\d+)/.exec(shell.calls().find((call) => call.startsWith("nbdkit")) ?? "")?.[1];
  };

  it.each([
    ["has room for it", 200, 0, 64],
    ["is too small for it", 47, 0, 23],
    ["holds what an earlier plugin has left", 24, 23, 23],
    ["is full", 1, 0, 64],
  ])("retains what it should where /run %s", (_, free, left, expected) => {
    shell.write("/run/netdisk/t1/nonce", "0");
    if (left > 0) shell.write("/run/netdisk/t1/retained", Buffer.alloc(left * MiB, 1));
    shell.stub("df", `echo Avail; echo ${(free * MiB) / 512}`);
    expect(retained()).toBe(String(expected * MiB));
  });
});
