/** The scripts that open and mount, as they lie on a client, against disks that are dead, lying or strange. */
import { lstatSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { sessionDevice } from "../../provider/facts/nbd";
import { part, raw, render } from "../../provider/template";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
beforeEach(() => {
  shell = stubbedShell();
});

/** What systemd does not try again (RestartPreventExitStatus). */
const refused = 3;
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";

/** `session`: what is asked of the session, of a disk that has one. */
const mountScript = (session: string): string =>
  render("mount.sh", {
    patiently: part("patiently.sh"),
    resume: part("resume.sh"),
    name: "t1",
    unit: "netdisk-mount@t1.service",
    device: "/dev/mapper/t1",
    path: "/mnt/t1",
    type: "xfs",
    options: "noatime,allocsize=64m",
    listed: "noatime,allocsize=65536k",
    unlisted: "ro,noexec,dirsync",
    uuid,
    attach: "netdisk-attach@t1.service",
    session,
  });

it("mount.sh uuid says which file system belongs there, and looks at no device", () => {
  expect(shell.run(mountScript(""), "uuid")).toMatchObject({ status: 0, stdout: `${uuid}\n` });
  expect(shell.calls()).toEqual([]);
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

  it("refuses another disk at once", () => {
    for (const answer of ["exit 2", "echo 1-2"]) {
      shell.stub("blkid", answer);
      expect(start().status).toBe(refused);
    }
    expect([called("sleep"), called("mount")]).toEqual([false, false]);
  });

  it.each([
    ["cannot be read", { blkid: "exit 4" }],
    ["cannot be read, and blkid does not tell", { blkid: "exit 2", dd: "exit 1" }],
    ["does not mount", { mount: "exit 32" }],
  ])("tries again when the disk %s", (_, failing) => {
    for (const [program, answer] of Object.entries(failing))
      shell.stub(program, `test -e cured || ${answer}; test ${program} != blkid || echo ${uuid}`);
    shell.stub("sleep", "touch cured");
    expect(start().status).toBe(0);
    expect(shell.calls().filter((call) => call.startsWith("sleep"))).toEqual(["sleep 5"]);
    expect(shell.calls().at(-1)).toMatch(/^mount /);
  });

  it("is ended by a stop while it waits", () => {
    shell.stub("mount", "exit 32");
    shell.stub("sleep", "kill $PPID");
    expect(start).toThrow("ended by SIGTERM");
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

  it("takes back what a remount can, and says what it could not", () => {
    const { status, stderr } = reload("rw,noatime,inode64,allocsize=65536k,dirsync");
    const [remount = ""] = shell.calls();
    for (const option of ["rw", "exec", "suid", "dev", "async", "relatime", "diratime", "nolazytime"])
      expect(remount.split(" ")[2]?.split(",")).toContain(option);
    expect([status, stderr]).toEqual([
      refused,
      "dirsync stays in effect until the next mount. Run: systemctl restart netdisk-mount@t1.service\n",
    ]);
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

describe("mount.sh, of a mapping that is suspended", () => {
  it.each([
    ["has it go on", "Suspended", ["dmsetup resume t1"]],
    // It would get a table that was loaded for it and never used.
    ["leaves it alone if it is not", "Active", []],
  ])("%s before it is unmounted, which would wait for ever", (_, state, resumed) => {
    shell.stub("awk", `test -e unmounted || echo 253:0 ${shell.path("dev/mapper/t1")}`);
    shell.stub("dmsetup", `test "$1" != info || echo ${state}`);
    shell.stub("umount", "touch unmounted");
    expect(shell.run(mountScript(""), "stop").status).toBe(0);
    expect(shell.calls().filter((call) => /^(dmsetup resume|umount)/.test(call))).toEqual([
      ...resumed,
      `umount ${shell.path("mnt/t1")}`,
    ]);
  });
});

describe("mount.sh left", () => {
  const ended = (left: string, found: string) => {
    shell.stub("awk", `test -e unmounted || echo ${found}`);
    shell.stub("umount", "touch unmounted");
    shell.stub("session", `test $1 != left || ${left}`);
    expect(shell.run(mountScript("session"), "left").status).toBe(0);
    return shell.calls().filter((call) => /^(session left|umount)/.test(call));
  };

  it.each([
    ["nothing was left", "exit 1", `253:0 /dev/mapper/t1`],
    ["something else is mounted", "exit 0", "8:1 /dev/sda1"],
    ["nothing is mounted", "exit 0", ""],
  ])("leaves the path alone where %s", (_, left, found) => {
    expect(ended(left, found)).toEqual(["session left"]);
  });

  it("unmounts what was mounted after the stop had begun", () => {
    const there = `253:0 ${shell.path("dev/mapper/t1")}`;
    expect(ended("exit 0", there)).toEqual(["session left", `umount ${shell.path("mnt/t1")}`]);
  });

  it("asks no session of a disk that has none", () => {
    expect(shell.run(mountScript(""), "left")).toMatchObject({ status: 0, stderr: "" });
  });
});

describe("open.sh start", () => {
  const scriptFor = (reading: string, sealed = "no") =>
    render("open.sh", {
      patiently: part("patiently.sh"),
      resume: part("resume.sh"),
      name: "t1",
      unit: "netdisk-open@t1.service",
      device: "/dev/netdisk/t1",
      header: "/var/lib/netdisk/headers/t1.luks",
      key: "/etc/netdisk/keys/t1.key",
      sealed,
      reading,
      question: "netdisk:t1",
      gnupgHome: "/run/netdisk-key.XXXXXX",
      uuid,
      cipher: "aes-xts-plain64",
      options: raw("--perf-no_read_workqueue --perf-no_write_workqueue"),
      session: "/var/lib/netdisk/session",
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
  const notOpen = "test -e open || { echo Device does not exist. >&2; exit 1; }";

  beforeEach(() => {
    shell.write("/var/lib/netdisk/headers/t1.luks", headerOf(uuid));
    shell.write("/dev/netdisk/t1", headerOf(uuid));
    shell.write("/sys/class/block/t1/dev", "43:0\n");
    shell.stub("cryptsetup", `case $1 in luksUUID) echo ${uuid} ;; open) touch open ;; esac`);
    shell.stub(
      "dmsetup",
      `${notOpen}; case $1 in table) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;; esac`,
    );
    shell.stub("blkid", "exit 99");
  });

  it("opens with the client's header, and shows the device to no parser", () => {
    expect(start()).toMatchObject({ status: 0, stdout: expect.stringContaining("opened over") as string });
    expect(shell.calls().some((call) => call.startsWith("blkid"))).toBe(false);
    expect(shell.calls().find((call) => call.startsWith("cryptsetup open"))).toContain("--header");
  });

  it("has the mapping go on that is there already, and names the cure where it does not", () => {
    shell.write("open", "");
    const does = (resume: string) =>
      shell.stub(
        "dmsetup",
        `case $1 in info) echo Suspended ;; table) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;; resume) ${resume} ;; esac`,
      );
    does("");
    expect(start().status).toBe(0);
    expect(shell.calls()).toContain("dmsetup resume t1");
    does("test -e cured");
    shell.stub("sleep", "touch cured");
    expect(start()).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/luksSuspend.*pulumi up/) as string,
    });
    expect(opened()).toBe(false);
  });

  it("bounds what may wait to be written, so that a dead server does not stop the client's other disks", () => {
    const bdi = "/sys/class/bdi/254:1";
    for (const setting of ["strict_limit", "max_ratio", "min_ratio"]) shell.write(`${bdi}/${setting}`, "0\n");
    shell.stub(
      "dmsetup",
      `${notOpen}; case $1 in info) echo 254:1 ;; table) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;; esac`,
    );
    expect(start().status).toBe(0);
    const read = ["strict_limit", "max_ratio", "min_ratio"].map((setting) => shell.read(`${bdi}/${setting}`));
    expect(read).toEqual(["1\n", "50\n", "10\n"]);
  });

  describe("gives cryptsetup the key", () => {
    const all = "all\nof it\n";
    const first = "all";
    /** What cryptsetup was given, one after the other, until it was `opens`. */
    function given(script: string, action: string, opens: string): [number, string[]] {
      const file = shell.path("etc/netdisk/keys/t1.key");
      shell.write("/etc/netdisk/keys/t1.key", all);
      shell.write("opens", opens);
      shell.write("tries", "");
      shell.stub("systemd-ask-password", "echo secret");
      shell.stub("gpg", `exec cat ${file}`);
      // A start that does not succeed at once would go on trying.
      shell.stub("sleep", "exit 1");
      const reads = `case $* in *--key-file\\ -*) cat ;; *--key-file\\ */t1.key*) cat ${file} ;; *) IFS= read -r line; printf %s "$line" ;; esac >given`;
      const takes = `${reads}; { cat given; echo END; } >>tries; cmp -s given opens || exit 2; touch open`;
      shell.stub("cryptsetup", `case $1 in luksUUID) echo ${uuid} ;; open | resize) ${takes} ;; esac`);
      const { status } = shell.run(script, action);
      return [status, (shell.read("tries") ?? "").split("END\n").slice(0, -1)];
    }

    // In the last two, a new key took the old one's place, or the other way round, and no run came to write it there.
    it.each([
      ["whole", all, [all]],
      ["first line", first, [first]],
      ["first line", all, [first, all]],
      ["whole", first, [all, first]],
    ])("last read: %s; %j opens the disk", (reading, opens, tries) => {
      expect(given(scriptFor(reading), "start", opens)).toEqual([0, tries]);
      expect(given(scriptFor(reading), "widen", opens)).toEqual([0, tries]);
      shell.run("rm open");
      expect(given(scriptFor(reading, "yes"), "start", opens)).toEqual([0, tries]);
      expect(shell.calls().filter((call) => call.startsWith("systemd-ask-password"))).toHaveLength(1);
    });

    it("not a third time at once, where it opens nothing", () => {
      shell.write("open", "");
      expect(given(scriptFor("whole"), "widen", "another")).toEqual([1, [all, first]]);
    });

    it("no other way where something else is wrong", () => {
      shell.stub("cryptsetup", `case $1 in luksUUID) echo ${uuid} ;; *) exit 3 ;; esac`);
      shell.write("open", "");
      shell.write("/etc/netdisk/keys/t1.key", all);
      expect(shell.run(script, "widen").status).toBe(1);
      expect(shell.calls().filter((call) => call.startsWith("cryptsetup resize"))).toHaveLength(1);
    });
  });

  it.each(["stop", "widen", "left"])("%s takes no error of dmsetup for a disk that is not open", (verb) => {
    shell.stub("dmsetup", "echo /dev/mapper/control: open failed; exit 1");
    shell.write("/var/lib/netdisk/session", "#!/bin/sh\n");
    shell.run("chmod +x /var/lib/netdisk/session");
    const { status, stderr } = shell.run(script, verb);
    expect([status, stderr]).toEqual([
      1,
      "whether t1 is open cannot be told: /dev/mapper/control: open failed\n",
    ]);
  });

  it("leads no open disk over without its key, and says how it comes back", () => {
    shell.write("open", "");
    const { status, stderr } = shell.run(script, "move", "/dev/nbd1");
    expect(status).toBe(1);
    expect(stderr).toMatch(/t1\.key is gone.*systemctl restart netdisk@t1\.target, and then pulumi up again/);
    expect(opened()).toBe(false);
  });

  describe("move", () => {
    const file = Buffer.alloc(65536, 1);
    const move = (device: Buffer, holds: Buffer) => {
      shell.write("open", "");
      shell.write("/etc/netdisk/keys/t1.key", "key");
      shell.write("/dev/netdisk/t1", device);
      shell.write("/dev/mapper/t1", file);
      shell.write("/dev/mapper/t1-next", holds);
      shell.write("/sys/class/block/t1/queue/read_ahead_kb", "8192\n");
      shell.stub("sleep", "");
      return shell.run(script, "move", shell.path("dev/netdisk/t1"));
    };
    const led = () => shell.calls().filter((call) => /^dmsetup (load|resume)/.test(call));

    it.each([
      ["has another LUKS UUID", headerOf("00000000-6149-42b5-ab40-e765711a3551"), file, "is another disk"],
      [
        "has no header and holds something else",
        Buffer.alloc(65536),
        Buffer.alloc(65536, 2),
        "another device",
      ],
    ])("leaves an open disk as it is where the device %s", (_, device, holds, said) => {
      const { status, stderr } = move(device, holds);
      expect([status, stderr]).toEqual([refused, expect.stringContaining(said)]);
      expect(led()).toEqual([]);
    });

    it("leads it over to a device that has lost its header, and holds the disk", () => {
      expect(move(Buffer.alloc(65536), file).status).toBe(0);
      expect(led()).toEqual(["dmsetup load t1", "dmsetup resume t1"]);
    });
  });

  it("keeps no new table for an open disk that it could not lead over, which the next resume would put in", () => {
    shell.write("open", "");
    shell.write("/etc/netdisk/keys/t1.key", "key");
    shell.write("/dev/netdisk/t1", headerOf(uuid));
    shell.stub(
      "dmsetup",
      `case "$1 $2" in
        "info t1-next") echo "Device does not exist."; exit 1 ;;
        "remove --retry") exit 1 ;;
        table*) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;;
      esac`,
    );
    expect(shell.run(script, "move", shell.path("dev/netdisk/t1")).status).toBe(1);
    const changes = shell.calls().filter((call) => /^dmsetup (load|clear|resume)/.test(call));
    expect(changes).toEqual(["dmsetup load t1", "dmsetup clear t1"]);
  });

  it("opens a disk that has lost its header on the server", () => {
    shell.write("/dev/netdisk/t1", Buffer.alloc(65536));
    expect(start()).toMatchObject({ status: 0, stdout: expect.stringContaining("no LUKS header") as string });
  });

  it.each([
    ["closes what was opened after its stop had begun", "exit 0", true],
    ["leaves an open mapping alone where its start left nothing behind", "exit 1", false],
  ])("%s", (_, left, closed) => {
    shell.write("open", "");
    shell.write("/var/lib/netdisk/session", `#!/bin/sh\n${left}\n`);
    shell.run("chmod +x /var/lib/netdisk/session");
    expect(shell.run(script, "left").status).toBe(0);
    expect(shell.calls().includes("dmsetup remove t1")).toBe(closed);
  });

  describe("stopped while somebody still uses it", () => {
    beforeEach(() => {
      shell.write("open", "");
      shell.write("/dev/mapper/t1", "");
      shell.write("/sys/block/t1/pid", "7\n");
      shell.write("/sys/class/block/t1/dev", "43:0\n");
      shell.write("/sys/block/t1/dev", "43:0\n");
      shell.stub("sleep", "");
      shell.stub("timeout", 'shift; exec "$@"');
      shell.stub(
        "dmsetup",
        `case $1 in remove) test "$2" = --deferred ;; table) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;; esac`,
      );
    });
    const freezing = () =>
      shell.calls().filter((call) => /^(timeout|session|dmsetup (suspend|resume|rename))/.test(call));

    it("is flushed within 20 s, or not, where there is no session", () => {
      expect(shell.run(script, "stop")).toMatchObject({
        status: 0,
        stdout: expect.stringContaining("t1 is flushed\n") as string,
      });
      expect(freezing().map((call) => call.replace(/-dead-\d+/, ""))).toEqual([
        "timeout 20 dmsetup suspend t1",
        "dmsetup suspend t1",
        "dmsetup resume t1",
        "dmsetup rename t1 t1",
      ]);
    });

    it("has its session watch that, which gives a server up that is out of reach in a shutdown", () => {
      shell.stub("session", `while kill -0 "$2" 2>/dev/null; do :; done`);
      shell.run("mkdir -p var/lib/netdisk && ln -s ../../../bin/session var/lib/netdisk/session");
      expect(shell.run(script, "stop").status).toBe(0);
      expect(freezing().find((call) => call.startsWith("session"))).toMatch(/^session watch \d+$/);
      expect(freezing()).not.toContain("timeout 20 dmsetup suspend t1");
    });
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
    shell.run("mv bin/dd bin/dd.good");
    shell.stub("dd", "exit 1");
    shell.stub("sleep", "mv bin/dd.good bin/dd");
    expect(start().status).toBe(0);
    expect(opened()).toBe(true);
  });

  it.each([1, 2, 3, 4])("tries again when cryptsetup open ends with %i", (status) => {
    shell.stub(
      "cryptsetup",
      `case $1 in luksUUID) echo ${uuid} ;; open) test -e cured || exit ${status}; touch open ;; esac`,
    );
    shell.stub("sleep", "touch cured");
    expect(start().status).toBe(0);
    // 2: it is no key of the disk, so the other reading of it is tried.
    expect(shell.calls().filter((call) => call.startsWith("cryptsetup open"))).toHaveLength(
      status === 2 ? 3 : 2,
    );
  });

  it("asks for the passphrase of a sealed key, and leaves nothing of it behind", () => {
    shell.stub("systemd-ask-password", "echo secret");
    shell.stub("gpg", "cat");
    expect(shell.run(scriptFor("whole", "yes"), "start").status).toBe(0);
    expect(shell.run("ls run").stdout).toBe("");
  });
});

const MiB = 2 ** 20;
const ofSession = {
  name: "t1",
  device: "/dev/netdisk/t1",
  note: "/run/netdisk/t1/attached",
  attached: part("attached.sh"),
  helper: "netdisk-helper",
  client: "bin/nbd-client",
};
const sessionScript = render("session.sh", {
  ...ofSession,
  statusField: part("status-field.sh"),
  unit: "netdisk-session@t1.service",
  dir: "/run/netdisk/t1",
  givenUp: "/var/lib/netdisk/given-up/t1",
  plugin: "plugin.so",
  retain: 64 * MiB,
  requests: 64,
  chunk: "128K",
  sshConfig: "ssh_config",
  settings: "",
});

describe("attach.sh stop", () => {
  const script = render("attach.sh", {
    ...{ name: "t1", unit: "netdisk-attach@t1.service", target: "netdisk@t1.target" },
    ...{ device: "/dev/netdisk/t1", socket: "/run/netdisk/tunnel/t1/nbd.sock", client: "nbd-client" },
    ...{ blockSize: 4096, timeout: 30, queue: "scheduler=none", lock: "/run/netdisk/lock/attach", size: 1 },
    ...{ revision: "", open: "open", answer: "/run/netdisk/tunnel/t1/moved" },
    nbdDevice: part("nbd-device.sh"),
    setQueue: part("queue.sh"),
  });
  const acts = () => shell.calls().filter((call) => /^(nbd-client -d|dmsetup)/.test(call));

  // A process of this unit, as this test is; and one that is none.
  it.each([
    [
      "its own connection",
      process.pid,
      ["dmsetup suspend t9", "nbd-client -d /dev/nbd3", "dmsetup resume t9"],
    ],
    ["a device that another disk was given since", 4194305, []],
  ])("ends %s, or leaves it alone", (_, pid, done) => {
    for (const program of ["sleep", "nbd-client", "dmsetup"]) shell.stub(program, "");
    shell.stub("timeout", 'shift; exec "$@"');
    shell.write("/sys/block/nbd3/pid", `${pid}\n`);
    shell.write("/sys/block/nbd3/holders/dm-0/dm/name", "t9\n");
    shell.run("mkdir -p /dev/netdisk && ln -s /dev/nbd3 /dev/netdisk/t1");
    expect(shell.run(script, "stop").status).toBe(0);
    expect(acts().map((call) => call.replace(" -nonetlink", "").trim())).toEqual(done);
    expect(lstatSync(shell.path("dev/netdisk/t1"), { throwIfNoEntry: false })).toBeUndefined();
  });
});

describe("netdisk-down.service", () => {
  /** As systemd reads the line. */
  const script = () => {
    const [mount, open, attach, link] = ["mount", "open", "attach", "session"];
    const unit = render("netdisk-down.service", {
      ...{ name: "t1", target: "netdisk@t1.target", stopTimeout: 240 },
      ...{ mount, open, attach, link, watch: raw("session watch-link $$$$ & ") },
    });
    return (/^ExecStop=\/bin\/sh -c '(.*)'$/m.exec(unit)?.[1] ?? "").replaceAll("$$", "$");
  };

  it("waits until the chain is inactive, also where systemd does not answer in between", () => {
    shell.stub("sleep", "echo >>asked");
    shell.stub("session", "");
    shell.stub(
      "systemctl",
      `touch asked; case $(wc -l <asked) in 0) echo active ;; 1) exit 1 ;; 2) echo deactivating ;; *) echo inactive ;; esac`,
    );
    expect(shell.run(script())).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(shell.calls().filter((call) => call.startsWith("systemctl"))).toEqual(
      Array(4).fill("systemctl show -P ActiveState mount open attach session"),
    );
    expect(shell.calls().filter((call) => /^session watch-link [0-9]+ *$/.test(call))).toHaveLength(1);
  });

  it("ends where systemd never answers", () => {
    shell.stub("sleep", "");
    shell.stub("systemctl", "exit 1");
    expect(shell.run(script()).status).toBe(1);
  });
});

describe("session.sh start", () => {
  const id = "0123456789abcdef".repeat(2);
  const retained = () => {
    shell.stub("nbdkit", "");
    expect(shell.run(sessionScript, "start").status).toBe(0);
    return /\bretain=(\d+)/.exec(shell.calls().find((call) => call.startsWith("nbdkit")) ?? "")?.[1];
  };

  it.each([
    ["has room for it", 200, 0, 64],
    ["has room for it and for two headers, no more", 97, 0, 48],
    ["is too small for it", 47, 0, 15],
    ["is smaller than that", 20, 0, 4],
    ["is too small for anything", 5, 0, 2],
    ["holds what an earlier plugin has left", 32, 15, 15],
    ["is full", 1, 0, 64],
  ])("retains what it should where /run %s", (_, free, left, expected) => {
    shell.write("/run/netdisk/t1/nonce", id);
    if (left > 0) shell.write("/run/netdisk/t1/retained", Buffer.alloc(left * MiB, 1));
    shell.stub("df", `echo Avail; echo ${(free * MiB) / 512}`);
    expect(retained()).toBe(String(expected * MiB));
  });

  it.each([
    ["takes over a size that it was told", `${MiB}\n`, [`grow-to=${MiB}`]],
    ["keeps the size that is known", undefined, []],
  ])("%s", (_, larger, expected) => {
    shell.write("/run/netdisk/t1/nonce", id);
    if (larger !== undefined) shell.write("/run/netdisk/t1/larger", larger);
    shell.stub("df", "echo Avail; echo 400000");
    expect(retained()).toBeDefined();
    expect(
      shell
        .calls()
        .join("\n")
        .match(/grow-to=\S*/g) ?? [],
    ).toEqual(expected);
  });

  it.each([
    ["makes an id for the attachment", undefined, 'exec /usr/bin/od "$@"', 0, /^[0-9a-f]{32}$/],
    ["keeps the one that is there", id, 'exec /usr/bin/od "$@"', 0, new RegExp(`^${id}$`)],
    ["replaces half of one", "0123", 'exec /usr/bin/od "$@"', 0, /^[0-9a-f]{32}$/],
    ["makes none by halves, as where /run is full, and says the cure", undefined, "echo 0123", 1, undefined],
  ])("%s", (_, left, od, status, found) => {
    shell.run("mkdir -p /run/netdisk/t1");
    if (left !== undefined) shell.write("/run/netdisk/t1/nonce", left);
    shell.stub("df", "echo Avail; echo 400000");
    shell.stub("nbdkit", "");
    shell.stub("od", od);
    const ended = shell.run(sessionScript, "start");
    expect(ended.status).toBe(status);
    const nonce = shell.read("/run/netdisk/t1/nonce");
    if (found) expect(nonce).toMatch(found);
    else {
      expect(nonce).toBeUndefined();
      expect(ended.stderr).toMatch(
        /^this attachment's id cannot be written .*Make room in .*tried again each second\.\n$/,
      );
    }
    expect(shell.calls().some((call) => call.startsWith("nbdkit"))).toBe(found !== undefined);
  });
});

it("session.sh value gives the whole of a reason, whose cure is at its end, and the number of what waits", () => {
  const reason = "held by nas since noon. Detach it there, or on box: netdisk takeover t1";
  shell.stub("netdisk-helper", `echo '{"name":"t1","state":"parked","reason":"${reason}","waiting":3}'`);
  const value = (key: string) => shell.run(sessionScript, "value", key).stdout;
  expect([value("reason"), value("waiting"), value("state")]).toEqual([`${reason}\n`, "3\n", "parked\n"]);
});

it.each([
  ["is stopped where no plugin runs", "exit 3", ""],
  ["is unknown where one does not answer", "exit 1", "unknown\n"],
])("session.sh value: the state %s", (_, helper, expected) => {
  shell.stub("netdisk-helper", helper);
  expect(shell.run(sessionScript, "value", "state").stdout).toBe(expected);
  expect(shell.run(sessionScript, "value", "connections").stdout).toBe("");
});

it("session.sh stop gives the lease back by an id that is in use no more, whatever the server answers", () => {
  shell.write("/run/netdisk/t1/nonce", "0123abcd");
  shell.stub("systemctl", "");
  shell.stub("ssh", `test ! -e ${shell.path("run/netdisk/t1/nonce")} && echo forgotten >&2; exit 255`);
  const { status, stdout, stderr } = shell.run(sessionScript, "stop");
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("its lease stays with this host: forgotten\n");
  expect(shell.calls().at(-1)).toMatch(/^ssh -F ssh_config server release [0-9a-f]{16} 0123abcd \S+$/);
});

it("session.sh lease asks for a stopped disk, too, which has no id; takeover says that it needs one", () => {
  shell.stub("ssh", "echo free");
  const { status, stderr } = shell.run(sessionScript, "takeover");
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^t1 is not started on this host.*systemctl start --no-block netdisk@t1\.target; then/,
  );
  expect(shell.run(sessionScript, "lease").stdout).toBe("free\n");
  expect(shell.calls()).toHaveLength(1);
  // As the relay takes it (serve-relay.pl).
  expect(shell.calls()[0]).toMatch(
    /^ssh -F ssh_config server lease [0-9a-f]{16} 0{32} [A-Za-z0-9._-]{1,64}$/,
  );
});

it("session.sh lease says what the server says without what could steer a terminal, not all of an endless answer, and fails as it does", () => {
  shell.stub("ssh", `printf 'held by \\033[2Jnas\\r\\n'; printf '\\007denied\\n' >&2; exit 7`);
  expect(shell.run(sessionScript, "lease")).toEqual({
    status: 7,
    stdout: "held by [2Jnas\ndenied\n",
    stderr: "",
  });
  shell.stub("ssh", "exec yes");
  expect(shell.run(sessionScript, "lease").stdout).toHaveLength(4096);
});

it("session.sh stop keeps the lease and the id over a restart of the unit", () => {
  shell.write("/run/netdisk/t1/nonce", "0123abcd");
  shell.stub("ssh", "");
  shell.stub(
    "systemctl",
    'test "$1" != list-jobs || echo "4711 netdisk-session@t1.service $(cat job) running"',
  );
  const asked = (job: string) => {
    shell.write("job", job);
    expect(shell.run(sessionScript, "stop").status).toBe(0);
    return shell.calls().filter((call) => call.startsWith("ssh")).length;
  };
  expect([asked("restart"), shell.read("/run/netdisk/t1/nonce")]).toEqual([0, "0123abcd"]);
  expect([asked("stop"), shell.read("/run/netdisk/t1/nonce")]).toEqual([1, undefined]);
});

it("is another client to the server where another machine runs a copy of its disk", () => {
  shell.stub("ssh", "");
  const asked = () => {
    shell.run(sessionScript, "lease");
    return shell.calls().at(-1);
  };
  const without = asked();
  expect(without).toMatch(/^ssh -F ssh_config server lease [0-9a-f]{16} 0{32} /);
  shell.write("/sys/class/dmi/id/product_uuid", "4c4c4544-0042-3510-8050-b4c04f4d3132\n");
  const original = asked();
  shell.write("/sys/class/dmi/id/product_uuid", "4c4c4544-0042-3510-8050-b4c04f4d3133\n");
  expect(new Set([without, original, asked()]).size).toBe(3);
});

describe("session.sh grow", () => {
  const larger = "/run/netdisk/t1/larger";
  const grow = () => shell.run(sessionScript, "grow", String(2 * MiB));
  const restarts = () => shell.calls().filter((call) => call.startsWith("systemctl restart"));
  /** The new plugin, where it was told. */
  const takesOver = (size: number) =>
    shell.stub(
      "systemctl",
      `test "$1" != restart || ! test -s ${larger.slice(1)} || echo '{"state":"up","size":${size}}' >status`,
    );

  beforeEach(() => {
    shell.run("mkdir -p /run/netdisk/t1");
    shell.write("status", `{"state":"up","size":${MiB}}`);
    shell.stub("netdisk-helper", `test "$3" != status || cat status`);
    shell.stub("sleep", "");
    takesOver(2 * MiB);
  });

  it("has the plugin that starts next take the size over, and none after it", () => {
    expect(grow()).toMatchObject({ status: 0, stderr: "" });
    expect(shell.read(larger)).toBeUndefined();
    expect(restarts()).toEqual(["systemctl restart netdisk-session@t1.service"]);
  });

  it("says what the server has, where that is another size", () => {
    takesOver(MiB);
    const { status, stderr } = grow();
    const said = `the disk t1 still has ${MiB} bytes: the server does not serve it with ${2 * MiB}\n`;
    expect([status, stderr]).toEqual([1, said]);
    expect(shell.read(larger)).toBeUndefined();
  });

  it("needs no other plugin where the one that runs knows the size already", () => {
    shell.write("status", `{"state":"up","size":${2 * MiB}}`);
    expect(grow().status).toBe(0);
    expect(restarts()).toEqual([]);
  });

  it("leaves a plugin alone that waits for the server", () => {
    shell.write("status", `{"state":"parked","reason":"no route"}`);
    const { status, stderr } = grow();
    expect([status, stderr]).toEqual([1, expect.stringContaining("no session with the server: no route")]);
    expect(restarts()).toEqual([]);
  });
});

describe("session.sh left", () => {
  const procs = `/sys/fs/cgroup${/^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? ""}/cgroup.procs`;
  /** In a shutdown: what is left of a unit where these processes are in its cgroup, besides the script and who runs it. */
  const left = (...pids: number[]) => {
    shell.write(procs, pids.map((pid) => `${pid}\n`).join(""));
    return shell.run(`echo "$$\n$PPID" >>${procs}\n${script()}`, "left");
  };
  // Ten minutes of looks would take their time here, too.
  const script = () =>
    sessionScript
      .replace("long_patience=600", "long_patience=60")
      .replace("/proc/uptime", shell.path("uptime"));
  const passes = (seconds: string) => `echo $(($(cat uptime) + ${seconds})) >uptime`;
  beforeEach(() => {
    shell.stub("systemctl", "echo stopping");
    shell.write("uptime", "1000\n");
    shell.stub("sleep", passes("$1"));
    shell.stub("nbd-client", "");
    shell.stub("dmsetup", "");
    shell.write("/run/netdisk/t1/attached", "nbd3 7\n");
    shell.write("/sys/block/nbd3/pid", "7\n");
  });
  const asked = (word: string) => shell.calls().filter((call) => call.endsWith(` ${word}`)).length;
  const says = (state: string, connections = 0) =>
    `test "$3" = status && echo '{"state":"${state}","connections":${connections}}'`;
  /** After `looks` looks it says something else. */
  const then = (looks: number, now: string, later: string) =>
    `if test $(grep -c is-system-running calls) -ge ${looks}; then ${later}; else ${now}; fi`;

  it("is nothing where only the script itself is there, or what has ended", () => {
    shell.stub("netdisk-helper", says("parked"));
    expect(left(2 ** 22 + 1).status).toBe(1);
    expect(asked("abort")).toBe(0);
  });

  it.each(["up", "replaying", "parked"])(
    "is left its time while there is a session, %s, and 25 s when there is none any more",
    (state) => {
      shell.stub("netdisk-helper", then(30, says(state, 1), says("parked")));
      left(process.ppid);
      expect([asked("abort"), asked("is-system-running")]).toEqual([1, 55]);
    },
  );

  it("is left its time by a server that is away for a moment", () => {
    const away = then(29, then(26, says("up", 1), says("parked")), says("up", 1));
    shell.stub("netdisk-helper", then(30, away, says("parked")));
    left(process.ppid);
    expect([asked("abort"), asked("is-system-running")]).toEqual([1, 55]);
  });

  it("is ended after a while, where the server comes and goes", () => {
    const beside = "test $(($(grep -c is-system-running calls) % 10)) = 0";
    shell.stub("netdisk-helper", `if ${beside}; then ${says("up", 1)}; else ${says("parked")}; fi`);
    left(process.ppid);
    expect([asked("abort"), asked("is-system-running")]).toEqual([1, 60]);
    expect(shell.read("/var/lib/netdisk/given-up/t1")).toContain("the server takes too long");
  });

  it("is ended after 25 s of a plugin that hangs, and not for one look that took longer", () => {
    shell.stub("netdisk-helper", `${passes("3")}; exit 1`);
    left(process.ppid);
    expect([asked("abort"), asked("is-system-running")]).toEqual([1, 7]);
  });

  it("is no reason to give anything up where nothing is attached", () => {
    rmSync(shell.path("run/netdisk/t1/attached"));
    shell.stub("netdisk-helper", says("parked"));
    shell.stub("sleep", `${passes("1")}; test $(cat uptime) -lt 1100 || kill $PPID`);
    expect(() => left(process.ppid)).toThrow("SIGTERM");
    expect(asked("abort")).toBe(0);
  });

  it.each([
    ["for as long as there is a session", says("up", 1), 0],
    ["but 25 s without one", says("parked"), 1],
  ])("has no limit where others still stop, %s", (_, answer, aborts) => {
    shell.stub("netdisk-helper", answer);
    shell.stub("sleep", `${passes("1")}; test $(cat uptime) -lt 1100 || kill $(cat waiting)`);
    const background = `/bin/sleep 20 >/dev/null 2>&1 & echo $! >waiting\nset -- watch-link $!\n`;
    shell.run(background + script());
    expect(asked("abort")).toBe(aborts);
  });

  it("is named, and ended by giving the disk up, which the next start will say", () => {
    shell.stub("netdisk-helper", says("parked"));
    const { status, stdout } = left(process.ppid);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^process \d+ \(.+\) still waits for the server$/m);
    expect([asked("abort"), asked("is-system-running")]).toEqual([1, 25]);
    expect(shell.read("/var/lib/netdisk/given-up/t1")).toContain("the server is out of reach");
  });
});

describe("the device of a session's disk", () => {
  const attachScript = render("attach-session.sh", {
    ...ofSession,
    unit: "netdisk-attach@t1.service",
    socket: "/run/netdisk/t1/nbd.sock",
    session: "session",
    sessionUnit: "netdisk-session@t1.service",
    blockSize: 4096,
    queue: "scheduler=none nr_requests=64 rq_affinity=1 read_ahead_kb=8192",
    lock: "/run/netdisk/lock/attach",
    size: MiB,
    served: MiB,
    open: "open",
    target: "netdisk@t1.target",
    nbdDevice: part("nbd-device.sh"),
    setQueue: part("queue.sh"),
  });
  const attach = (verb: string) => shell.run(attachScript, verb);
  const session = (verb: string) => shell.run(sessionScript, verb);
  const seen = () => shell.run(sessionDevice.command(ofSession.device, ofSession.note).text).status;
  const acts = () =>
    shell.calls().filter((call) => /^(nbd-client|dmsetup|netdisk-helper reconnect)/.test(call));
  /** For how long requests wait for a plugin that died. */
  const kept = () => shell.calls().filter((call) => call.startsWith("netdisk-helper keep"));
  const linked = () => lstatSync(shell.path("dev/netdisk/t1"), { throwIfNoEntry: false }) !== undefined;

  /** What the kernel shows of a device that `pid` has connected. */
  function connect(device: string, pid: number): void {
    shell.write(`/sys/block/${device}/pid`, `${pid}\n`);
    shell.write(`/sys/block/${device}/size`, `${MiB / 512}\n`);
    shell.write(`/sys/block/${device}/holders/dm-0/dm/name`, "t1\n");
  }

  beforeEach(() => {
    for (const device of ["nbd3", "nbd4"]) {
      shell.write(`/sys/block/${device}/size`, "0\n");
      shell.write(`/sys/block/${device}/queue/write_cache`, "write back\n");
      for (const setting of ["logical_block_size", "read_ahead_kb", "nr_requests"])
        shell.write(`/sys/block/${device}/queue/${setting}`, "4096\n");
      shell.write(`/sys/block/${device}/queue/scheduler`, "none [mq-deadline] kyber\n");
    }
    // What the plugin has learnt of the disk.
    shell.write("sectors", `${MiB / 512}\n`);
    // The kernel takes the pid away with the connection.
    shell.stub(
      "nbd-client",
      `# -nonetlink
      case $1 in
        -d) rm sys/block/\${2#/dev/}/pid; echo 0 >sys/block/\${2#/dev/}/size ;;
        -unix) echo 9 >sys/block/nbd4/pid; cat sectors >sys/block/nbd4/size ;;
      esac`,
    );
    shell.stub("netdisk-helper", `test "$1" != ask || echo '{"ok":true,"message":"given up"}'`);
    shell.stub(
      "session",
      `test "$2" != size || echo ${MiB}; test "$2" != retained || echo 0; test "$2" != state || cat state`,
    );
    shell.write("state", "up\n");
    for (const program of ["modprobe", "sleep", "sync"]) shell.stub(program, "");
    shell.stub(
      "dmsetup",
      `[ "$1" != resume ] || if [ -e run/netdisk/t1/attached ]; then echo kept; else echo forgotten; fi >note-at-resume`,
    );
    // As the attachment left it.
    shell.write("/run/netdisk/t1/attached", "nbd3 7\n");
    shell.run("mkdir -p /dev/netdisk && ln -s /dev/nbd3 /dev/netdisk/t1");
  });

  it("is waited for where all are in use, with the way to more of them", () => {
    for (const device of ["nbd3", "nbd4"]) connect(device, 8);
    shell.stub("sleep", "rm -f sys/block/nbd4/pid && echo 0 >sys/block/nbd4/size");
    const { stdout } = attach("start");
    expect(stdout).toMatch(
      /^no free nbd device: all 2 are in use; .*`options nbd nbds_max=64`.* reboot this client\nattached as \/dev\/nbd4/,
    );
  });

  it("is detached by a stop that ends the start as soon as the kernel has it", () => {
    connect("nbd3", 8);
    // As nbd-client: the kernel has the pid of who asked, who noted it before.
    shell.stub(
      "nbd-client",
      `case $1 in
        -d) rm sys/block/nbd4/pid ;;
        -unix) echo $$ >sys/block/nbd4/pid; cat sectors >sys/block/nbd4/size; kill -9 $(cat script) ;;
      esac # -nonetlink`,
    );
    expect(() => shell.run(`echo $$ >script\n${attachScript}`, "start")).toThrow("SIGKILL");
    attach("stop");
    expect(acts().at(-1)).toBe("nbd-client -d /dev/nbd4");
  });

  it("is not refused for what an earlier connection's queue was told by hand", () => {
    connect("nbd3", 8);
    shell.write("/sys/block/nbd4/queue/write_cache", "write through\n");
    expect(attach("start").stdout).toMatch(/^attached as \/dev\/nbd4/);
  });

  describe("by its own connection", () => {
    beforeEach(() => connect("nbd3", 7));

    it("is seen, and stays attached over another start", () => {
      expect(seen()).toBe(0);
      expect(attach("start").stdout).toContain("/dev/nbd3 is still attached");
      expect(acts()).toEqual([]);
      expect(kept()).toEqual(["netdisk-helper keep /dev/nbd3 315360000"]);
      const setting = (attribute: string) => shell.read(`/sys/block/nbd3/queue/${attribute}`);
      // This kernel lacks the last one.
      expect(["read_ahead_kb", "scheduler", "nr_requests", "rq_affinity"].map(setting)).toEqual([
        "8192\n",
        "none\n",
        "64\n",
        undefined,
      ]);
    });

    it("is left alone where its queue is right, and goes on where it cannot be set", () => {
      const queue = "/sys/block/nbd3/queue";
      shell.write(`${queue}/scheduler`, "[none] mq-deadline kyber\n");
      rmSync(shell.path(`${queue}/nr_requests`));
      mkdirSync(shell.path(`${queue}/nr_requests`));
      const { status, stderr } = attach("start");
      expect([status, stderr]).toEqual([0, expect.stringContaining("is not set: nr_requests=64\n")]);
      expect(["scheduler", "read_ahead_kb"].map((attribute) => shell.read(`${queue}/${attribute}`))).toEqual([
        "[none] mq-deadline kyber\n",
        "8192\n",
      ]);
    });

    it("keeps its queue while requests wait for the server", () => {
      shell.write("state", "parked\n");
      expect(attach("start").status).toBe(0);
      expect(shell.read("/sys/block/nbd3/queue/nr_requests")).toBe("4096\n");
    });

    describe("that is to be larger", () => {
      const grows = () =>
        shell.calls().filter((call) => /^(session grow|dd|dmsetup|netdisk-helper resize|open)/.test(call));

      beforeEach(() => {
        shell.write("/sys/block/nbd3/size", "1024\n");
        shell.stub("dd", "");
        shell.stub("open", "");
        shell.stub("netdisk-helper", `test "$1" != resize || echo $(($4 / 512)) >sys/block/nbd3/size`);
      });

      it("takes the size once the new plugin answers, and stays open", () => {
        expect(attach("reload").stdout).toContain("/dev/nbd3 has grown to");
        expect(grows()).toEqual([
          `session grow ${MiB}`,
          "dd if=/dev/nbd3 of=/dev/null bs=4096 count=1 iflag=direct status=none",
          "dmsetup suspend --noflush --nolockfs t1",
          `netdisk-helper resize /dev/nbd3 7 ${MiB}`,
          "dmsetup resume t1",
          "open widen",
        ]);
        expect([linked(), shell.read("/run/netdisk/t1/attached")]).toEqual([true, "nbd3 7\n"]);
      });

      it.each<[string, string, string]>([
        ["the server does not have it", "session", "exit 1"],
        ["the new plugin does not answer", "dd", "exit 1"],
        ["Linux refuses", "netdisk-helper", "exit 1"],
        ["Linux keeps the old one", "netdisk-helper", "exit 0"],
        ["something still waits", "dmsetup", `test "$1" != suspend`],
      ])("is left as it is where %s", (_why, program, text) => {
        shell.stub(program, text);
        expect(attach("reload").status).toBe(1);
        expect(shell.read("/sys/block/nbd3/size")).toBe("1024\n");
        // Nothing stays suspended.
        const ofMapping = acts().map((act) => act.split(" ")[1]);
        expect([[], ["suspend", "resume"]]).toContainEqual(ofMapping);
      });

      it("leaves nothing suspended where a signal ends it in the midst of that", () => {
        shell.stub("dmsetup", `test "$1" != suspend || kill $(cat script)`);
        expect(shell.run(`echo $$ >script\n${attachScript}`, "reload").status).toBe(143);
        expect(acts()).toEqual(["dmsetup suspend --noflush --nolockfs t1", "dmsetup resume t1"]);
      });

      it("is not asked for where the device is another disk's by now", () => {
        shell.write("/sys/block/nbd3/pid", "8\n");
        const { status, stderr } = attach("reload");
        expect([status, stderr]).toEqual([1, expect.stringContaining("systemctl restart netdisk@t1.target")]);
        expect(grows()).toEqual([]);
      });
    });

    it("is flushed and detached, and forgotten", () => {
      expect(attach("stop").status).toBe(0);
      expect(acts()).toEqual(["dmsetup suspend t1", "nbd-client -d /dev/nbd3", "dmsetup resume t1"]);
      // Or the plugin might give a detached device another connection meanwhile.
      expect(shell.read("note-at-resume")).toBe("forgotten\n");
      expect([linked(), shell.read("/run/netdisk/t1/attached")]).toEqual([false, undefined]);
      expect(shell.calls().at(-1)).toBe("session dismiss");
      // By ExecStopPost.
      attach("stop");
      expect(acts()).toHaveLength(3);
    });

    it("is given the new plugin, and not left alone by the old one", () => {
      session("reconnect");
      expect(acts()).toEqual([
        `netdisk-helper reconnect /dev/nbd3 7 ${shell.path("run/netdisk/t1/nbd.sock")}`,
      ]);
      expect(session("stop").stdout).toContain("stopped under an attached device");
    });

    it("is tried again by systemd where it could not be given the new plugin, or told to wait for one", () => {
      shell.stub("netdisk-helper", "exit 1");
      expect([session("reconnect").status, attach("start").status]).toEqual([1, 1]);
    });

    it("is served for its stop where the unit was stopped by hand, and no longer than that", () => {
      const asked = () => shell.calls().filter((call) => /^systemctl st(art|op)/.test(call));
      // The new plugin makes safe what was waited for.
      shell.stub("netdisk-helper", `test -e awake && echo '{"connections":1}'`);
      shell.stub("sleep", "test ! -e awake || kill $(cat waiting)");
      shell.stub(
        "systemctl",
        `case $1 in
          is-active) if test -e awake; then echo active; else echo inactive; fi ;;
          is-system-running) echo running ;;
          start) touch awake ;;
        esac`,
      );
      const unit = "netdisk-session@t1.service";
      shell.run(`/bin/sleep 60 & echo $! >waiting\nset -- watch $!\n${sessionScript}`);
      expect(asked()).toEqual([`systemctl start --no-block --job-mode=ignore-dependencies ${unit}`]);
      session("dismiss");
      expect(asked().slice(1)).toEqual([`systemctl stop --no-block ${unit}`]);
      session("stop");
      session("dismiss");
      expect(asked().slice(2)).toEqual([]);
    });

    it("is still this disk's when it is given up and cannot be disconnected, which is said with the cure", () => {
      shell.stub("nbd-client", "echo no such family >&2; exit 1");
      const { status, stderr } = session("abort");
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /nbd-client -d \/dev\/nbd3 failed: no such family\. Cure that; then: netdisk abort t1\n$/,
      );
      expect([linked(), shell.read("/run/netdisk/t1/attached")]).toEqual([true, "nbd3 7\n"]);
    });

    it("is given up on a host whose own disk takes nothing any more, and that is no clean stop", () => {
      shell.write("/var/lib/netdisk/given-up", "in the way");
      const said = /t1 was given up on 20\S+Z \(by hand\): given up; what programs had written/;
      expect(session("abort").stderr).toMatch(said);
      expect(session("unharmed")).toMatchObject({ status: 1, stderr: expect.stringMatching(said) as string });
      shell.stub("nbdkit", "");
      expect(session("start").stdout).toContain("the disk was given up on 20");
      expect(session("unharmed").status).toBe(0);
    });

    it("keeps what was said of its loss over a second time, when the plugin has nothing more to say", () => {
      session("abort");
      const said = shell.read("/var/lib/netdisk/given-up/t1");
      expect(said).toContain("(by hand): given up; what programs");
      shell.stub("netdisk-helper", `echo '{"ok":false,"message":"the disk has ended"}'`);
      expect(session("abort").stderr).toContain("(by hand): given up; what programs");
      expect([shell.read("/var/lib/netdisk/given-up/t1"), shell.read("/run/netdisk/t1/given-up")]).toEqual([
        said,
        said,
      ]);
    });

    it("leaves the word to who is just giving it up, too", () => {
      shell.stub("netdisk-helper", `echo '{"ok":false,"message":"the disk has ended"}'`);
      shell.stub("sleep", `mkdir -p var/lib/netdisk/given-up && echo first >var/lib/netdisk/given-up/t1`);
      expect(session("abort").stderr).toBe("t1 was given up on first\n");
    });

    it.each([
      ["hangs", 1, ["systemctl kill --signal=KILL netdisk-session@t1.service"]],
      ["does not run", 3, []],
    ])("is given up where its plugin %s", (_, status, killed) => {
      shell.stub("netdisk-helper", `exit ${status}`);
      shell.stub("systemctl", "");
      session("abort");
      expect(shell.calls().filter((call) => call.startsWith("systemctl"))).toEqual(killed);
      expect(acts()).toEqual(["nbd-client -d /dev/nbd3", "dmsetup resume t1"]);
    });

    it("is disconnected when the disk is given up, and forgotten", () => {
      expect(session("abort").status).toBe(0);
      expect(acts()).toEqual(["nbd-client -d /dev/nbd3", "dmsetup resume t1"]);
      expect([linked(), shell.read("/run/netdisk/t1/attached")]).toEqual([false, undefined]);
    });
  });

  it("is left alone by who gives up what is left of a session, where the disk is attached by a tunnel", () => {
    rmSync(shell.path("run/netdisk/t1"), { recursive: true });
    const { status, stderr } = session("abort");
    expect([status, stderr]).toEqual([0, expect.stringMatching(/^t1 was given up on .*\n$/)]);
    expect([linked(), acts()]).toEqual([true, []]);
  });

  it.each([
    ["does not run: what was kept goes with the disk", "", undefined],
    ["runs: it forgets by itself", `echo '{"ok":true,"message":"aborted"}'`, "kept"],
  ])("is given up while its plugin %s", (_, answer, left) => {
    shell.write("/run/netdisk/t1/retained", "kept");
    shell.stub("netdisk-helper", answer);
    session("abort");
    expect(shell.read("/run/netdisk/t1/retained")).toBe(left);
    expect(shell.read("/var/lib/netdisk/given-up/t1")).toContain("(by hand): ");
  });

  describe("which another disk was given since", () => {
    beforeEach(() => connect("nbd3", 8));

    it("is no reason to start a plugin anew", () => {
      expect(session("reconnect").status).toBe(0);
    });

    it("is not seen as this disk's", () => {
      expect(seen()).toBe(44);
    });

    it("is left alone by a start, which takes a free one and notes it", () => {
      expect(attach("start").stdout).toContain("attached as /dev/nbd4");
      expect(acts()).toHaveLength(1);
      expect(acts()[0]).toMatch(/^nbd-client -unix .* \/dev\/nbd4 /);
      expect(kept()).toEqual(["netdisk-helper keep /dev/nbd4 315360000"]);
      expect(shell.read("/run/netdisk/t1/attached")).toBe("nbd4 9\n");
      expect(statSync(shell.path("run/netdisk/lock")).mode & 0o777).toBe(0o700);
    });

    it.each([
      [8, "4096 bytes, expected 1048576: another disk; waiting for the right one"],
      [
        4096,
        "2097152 bytes, expected 1048576: this disk, grown on the server, which `pulumi up` takes over, or another one; waiting",
      ],
    ])(
      "is looked at anew by a new plugin where it has %i sectors, less and less often, until the right one is there",
      (found, said) => {
        shell.write("sectors", `${found}\n`);
        const cured = `test $(grep -c ^systemctl calls) -lt 5 || echo ${MiB / 512} >sectors`;
        shell.stub("systemctl", cured);
        shell.stub("sleep", "test $(grep -c ^sleep calls) -lt 20 || kill $PPID");
        const { status, stdout } = attach("start");
        expect([status, stdout]).toEqual([
          0,
          `refused: the server's export t1 has ${said}\n` + "attached as /dev/nbd4, 2048 sectors\n",
        ]);
        const looks = shell.calls().filter((call) => /^(nbd-client -d|systemctl|sleep ([^1]|1.))/.test(call));
        expect(looks).toEqual(
          [4, 8, 16, 30, 30].flatMap((pause) => [
            "nbd-client -d /dev/nbd4",
            "systemctl restart netdisk-session@t1.service",
            `sleep ${pause}`,
          ]),
        );
      },
    );

    it("is no matter for an nbd-client without netlink, which says what to do instead of trying for ever", () => {
      shell.stub("nbd-client", "exit 1");
      expect(attach("start")).toMatchObject({
        status: refused,
        stderr:
          "the session needs nbd 3.17 or newer, built with libnl; choose another client.nbd.ref, or transport: forward\n",
      });
      expect(acts()).toEqual([]);
    });

    it.each([
      ["a stop", () => attach("stop")],
      ["a plugin that begins", () => session("reconnect")],
      ["a plugin that ends", () => session("stop")],
      ["who gives its own disk up", () => session("abort")],
    ])("is left alone by %s", (_, act) => {
      expect(act().stdout).not.toContain("attached device");
      expect(acts()).toEqual([]);
    });
  });
});
