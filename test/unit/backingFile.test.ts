/** Which files that were there before are taken over: by what the host answers. */
import { describe, expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import type { Command } from "../../provider/host/sh";
import { backingFile } from "../../provider/resources/backingFile";
import { identityOf } from "../../provider/resources/whichFile";
import { proveBlank } from "../../provider/facts/blank";
import { provenEdge } from "../../provider/facts/deviceLayout";
import { takeover } from "../../provider/facts/takeover";
import { commandOf, stubbedShell } from "./stubbedShell";

const inputs = {
  name: "photos",
  path: "/srv/photos.img",
  size: "1 GiB" as const,
  allocation: "full" as const,
  loop: false,
  owner: "nbd",
  mode: "0600",
  adopt: undefined,
};

const uuid = "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11";

const thisFile = "132 1764547200";
const readFile = () => Promise.resolve(undefined);

/** `holds`: what takeover.ts finds in it. `adopt`: with the order to adopt it, what it begins with. `begins`: without one. `served`: who serves it. */
function observe(
  holds: string,
  users: string,
  {
    adopt,
    served = "",
    begins = adopt,
    note,
    state,
  }: {
    adopt?: string;
    served?: string;
    begins?: string;
    note?: string | undefined;
    state?: object;
  } = {},
) {
  const script: [RegExp, string][] = [
    [/^stat /, `regular file|${2 ** 30}|${2 ** 21}|512|nbd|600|${thisFile}\n`],
    [/^if test -e/, `${holds}\n`],
    [/^file=/, users],
    [/^group=/, ""],
    [/^for file in /, served],
    ...(begins !== undefined
      ? ([[/^test -e .* \|\| exit 44/, `${begins}\n`]] satisfies [RegExp, string][])
      : []),
  ];
  const exec = (command: Command) => {
    const stdout = script.find(([words]) => words.test(command.text))?.[1];
    if (stdout === undefined) throw new Error(`not expected: ${command.text}`);
    return Promise.resolve({ exitCode: 0, stdout, stderr: "" });
  };
  const noteFile = () => Promise.resolve(note === undefined ? undefined : Buffer.from(note));
  const host = { label: "server", exec, readFile: noteFile } as unknown as Host;
  const wishes = adopt === undefined ? inputs : { ...inputs, adopt: uuid };
  return backingFile.observe(host, wishes, {
    name: "photos",
    ...(state && {
      state: { ...inputs, ...{ pinnedSize: inputs.size, exists: true, reachable: true }, ...state } as never,
    }),
  });
}

describe("a file that was there before", () => {
  it.each([
    ["blank", {}],
    ["made", {}],
    // Where the file system knows no time of birth, the fact's comparison is the narrower one.
    ["LUKS", { note: "132 0\n" }],
  ])("is taken over when nobody uses it: %s", async (holds, more) => {
    expect(await observe(holds, "", more)).toMatchObject({ is: "present", state: { exists: true } });
  });

  it.each([
    ["blank", "behind /dev/loop3", {}],
    ["LUKS", "process 7 (qemu) has it open", { note: "132 0\n" }],
  ])("is refused when it is in use: %s, %s", async (holds, user, more) => {
    expect(await observe(holds, `${user}\n`, more)).toMatchObject({
      is: "foreign",
      what: `/srv/photos.img is a regular file that netdisk did not make, and in use: ${user}`,
    });
  });

  it.each([
    ["TYPE=ext4\nUUID=1-2\n", "ext4 1-2 (data from byte 1080 on)"],
    ["PTTYPE=gpt\n", "gpt (data from byte 1080 on)"],
    ["", "data from byte 1080 on that blkid does not know"],
  ])("is refused before anything of it is changed when it holds %j", async (known, found) => {
    const look = await observe(`/srv/photos.img /dev/zero differ: char 1081, line 1\n${known}`, "");
    expect(look).toEqual({
      is: "foreign",
      what: `/srv/photos.img is a regular file that holds ${found}: neither blank nor a disk of netdisk`,
      cure:
        "Name another path, or remove the file yourself if you know that it may go. If it is this very disk, without its header, " +
        "say so on the server: `mkdir -p /etc/netdisk/made && stat -c '%i %W' -- /srv/photos.img >/etc/netdisk/made/photos`.",
    });
  });

  // Somebody's container, a disk of which state and note are lost: neither shall change owner, mode or blocks, or be served.
  it.each([undefined, ""])(
    "is refused before anything of it is changed when it holds LUKS and is not noted: %j",
    async (note) => {
      expect(await observe("LUKS", "", { note, begins: uuid })).toEqual({
        is: "foreign",
        what: `/srv/photos.img is a regular file that holds the LUKS container ${uuid}, and is not noted as the disk "photos"`,
        cure:
          "Name another path. A disk that was made by hand is taken over by its UUID (`adopt`, docs/adopt.md). " +
          "If it is this very disk and the server was set up anew, say so there: " +
          "`mkdir -p /etc/netdisk/made && stat -c '%i %W' -- /srv/photos.img >/etc/netdisk/made/photos`.",
      });
    },
  );

  it.each(["blank", "LUKS"])("is refused while the disk's note is of a device: %s", async (holds) => {
    expect(await observe(holds, "", { note: "WWN 0x5000c500a1b2c3d4, 4 GiB\n" })).toMatchObject({
      is: "foreign",
      what: 'the disk "photos" was in a device, not in a file: /etc/netdisk/made/photos says "WWN 0x5000c500a1b2c3d4, 4 GiB"',
    });
  });

  it("is one disk's alone", () => {
    expect(backingFile.ownFile?.(inputs)).toMatchObject({ path: inputs.path });
  });

  it.each(["blank", "made"])("is refused when it is served as another disk: %s", async (holds) => {
    const served = "/etc/netdisk/serve/video.conf (exportname = /srv/photos.img)";
    expect(await observe(holds, "", { served: `${served}\n` })).toMatchObject({
      is: "foreign",
      what: `nbd-server is told to serve /srv/photos.img already: ${served}`,
    });
  });

  it("is ours with nbd-server as its user when netdisk made it", async () => {
    expect(await observe("made", "process 8 (nbd-server) has it open\n")).toMatchObject({ is: "present" });
  });
});

describe("which file it is", () => {
  const another = "inode 132 of 2025-12-01T00:00:00Z; noted is inode 9 of 2025-12-02T00:00:00Z";
  it.each([
    [undefined, "not noted"],
    ["", "not noted"],
    ["WWN 0x5000c500a1b2c3d4, 4 GiB\n", "not noted"],
    [`${thisFile}\n`, "noted"],
    ["132 0\n", "noted"],
    ["132 1764633600\n", "inode 132 of 2025-12-01T00:00:00Z; noted is inode 132 of 2025-12-02T00:00:00Z"],
    ["9 0\n", "inode 132 of 2025-12-01T00:00:00Z; noted is inode 9"],
    ["9 1764633600\n", another],
  ])("with the note %j: %s", (note, identity) => {
    expect(identityOf(note, thisFile)).toBe(identity);
  });

  const other = { note: "9 1764633600\n" };
  it.each([
    ["that is blank is the disk's from now on", observe("blank", "", other), "not noted"],
    ["to be adopted, too", observe("LUKS", "", { adopt: uuid, ...other }), "not noted"],
    ["that begins with a header is not, in a first run", observe("LUKS", "", other), another],
    ["nor in a later one", observe("", "", { ...other, state: { identity: "noted" } }), another],
    ["of a server that was set up anew is", observe("", "", { state: { identity: "noted" } }), "not noted"],
  ])("another file %s", async (_, look, identity) => {
    expect(await look).toMatchObject({ is: "present", state: { identity } });
  });
});

describe("a file that is not there", () => {
  /** `half`: which file creation left under its first name. */
  const look = (note: string | undefined, half?: string) => {
    const exec = ({ text }: Command) => {
      const found = half !== undefined && text.endsWith(" /srv/photos.img.netdisk-new");
      return Promise.resolve({
        exitCode: found ? 0 : 1,
        stdout: found ? `regular file|${2 ** 30}|${2 ** 21}|512|nbd|600|${half}\n` : "",
        stderr: found ? "" : "stat: x: No such file or directory\n",
      });
    };
    const noteFile = () => Promise.resolve(note === undefined ? undefined : Buffer.from(note));
    const host = { label: "server", exec, readFile: noteFile } as unknown as Host;
    return backingFile.observe(host, inputs, { name: "photos" });
  };

  it.each([
    ["nothing is noted", undefined, undefined],
    ["a kill left an empty note", "", undefined],
    ["a kill left the file that is noted without its name", `${thisFile}\n`, thisFile],
  ])("is made where %s", async (_, note, half) => {
    expect(await look(note, half)).toEqual({ is: "absent" });
  });

  // Its file system is not mounted, and a destroy has taken the state.
  it.each([undefined, "9 1764633600"])(
    "is not made where one is noted; the half-made one: %j",
    async (half) => {
      expect(await look(`${thisFile}\n`, half)).toEqual({
        is: "foreign",
        what: 'there is no /srv/photos.img, and /etc/netdisk/made/photos says that the disk "photos" has a file, inode 132',
        cure:
          "Its file system may not be mounted: mount it, or bring the file back to that path. " +
          "To give the data up, remove the note on the server: `rm /etc/netdisk/made/photos`.",
      });
    },
  );
});

describe("a file that its server may remove", () => {
  const aged = "q /tmp 1777 root root 10d\nq /var/tmp 1777 root root 30d\n";
  /** `there`: in a later run, else before it is made. */
  const look = (path: string, lines: string, there: boolean) => {
    const answers: [RegExp, string, number][] = [
      there
        ? [/^stat /, `regular file|${2 ** 30}|${2 ** 21}|512|nbd|600|${thisFile}\n`, 0]
        : [/^stat /, "", 1],
      [/^group=/, "", 0],
      ...(lines === ""
        ? []
        : [[/^systemd-tmpfiles --cat-config$/, lines, 0] satisfies [RegExp, string, number]]),
    ];
    const exec = ({ text }: Command) => {
      const [, stdout, exitCode] = answers.find(([words]) => words.test(text)) ?? [];
      if (stdout === undefined) throw new Error(`not expected: ${text}`);
      return Promise.resolve({
        exitCode,
        stdout,
        stderr: exitCode === 0 ? "" : "stat: x: No such file or directory\n",
      });
    };
    const state = {
      ...inputs,
      path,
      pinnedSize: inputs.size,
      exists: true,
      identity: "noted",
      reachable: true,
    };
    const host = { label: "server", exec, readFile } as unknown as Host;
    return backingFile.observe(host, { ...inputs, path }, { name: "photos", ...(there && { state }) });
  };
  const is = (there: boolean) => (there ? "present" : "absent");

  it.each([false, true])("in /var/tmp is warned of, with a line that keeps it; there: %s", async (there) => {
    expect(await look("/var/tmp/test.img", aged, there)).toMatchObject({
      is: is(there),
      warning:
        "/var/tmp/test.img lies in /var/tmp, where a newly installed Debian 13 removes what was not used for 30 days. " +
        "Choose another path, or write `x /var/tmp/test.img` into /etc/tmpfiles.d/netdisk.conf on the server",
    });
  });

  it.each([false, true])("in /var/tmp is no matter once that line is there; there: %s", async (there) => {
    const seen = await look("/var/tmp/test.img", `x /var/tmp/test.img\n${aged}`, there);
    expect(seen).toMatchObject({ is: is(there) });
    expect(seen).not.toHaveProperty("warning");
  });

  it.each([false, true])("in /tmp is warned of, which no line keeps; there: %s", async (there) => {
    expect(await look("/tmp/disks/test.img", "", there)).toMatchObject({
      is: is(there),
      warning:
        "/tmp/disks/test.img lies in /tmp, which many servers empty when they boot. Choose another path",
    });
  });

  it("elsewhere is no matter, and nobody asks", async () => {
    for (const path of ["/srv/photos.img", "/var/tmpfiles/photos.img", "/srv/tmp/photos.img"]) {
      expect(await look(path, "", true)).not.toHaveProperty("warning");
    }
  });
});

describe("what a file holds, as its server tells", () => {
  const path = "/mnt/photos.img";
  const mib = 2 ** 20;
  /** Of a file of 20 MiB of zeros with these words in it. */
  const holds = (...words: [at: number, text: string][]) => {
    const shell = stubbedShell();
    const bytes = Buffer.alloc(20 * mib);
    for (const [at, text] of words) bytes.write(text, at);
    shell.write(path, bytes);
    shell.stub("blkid", "echo PTTYPE=dos");
    const { status, stdout, stderr } = shell.run(takeover.command(path, "/mnt/note").text);
    return takeover.parse({ exitCode: status, stdout, stderr }, path, "/mnt/note");
  };

  it.each<[string, [number, string][], unknown]>([
    ["zeros", [], "blank"],
    ["a header", [[168, uuid]], "LUKS"],
    ["a header whose first copy is gone", [[16552, uuid]], "LUKS"],
    ["data", [[1080, "S"]], { foreign: "dos (data from byte 1080 on)" }],
    ["data after zeros", [[18 * mib, "x"]], { foreign: `dos (data from byte ${18 * mib} on)` }],
  ])("%s", (_, words, expected) => {
    expect(holds(...words)).toEqual(expected);
  });

  it("judges by its beginning as far as the client reads that whole", () => {
    for (const { text } of [takeover.command(path, "/mnt/note"), proveBlank("/dev/netdisk/photos", 0)])
      expect(text).toContain(`edge=${provenEdge}`);
  });
});

describe("a file that is to be adopted", () => {
  it("is taken with the UUID that was named, and the preview says so", async () => {
    expect(await observe("LUKS", "", { adopt: uuid })).toMatchObject({
      is: "present",
      note: expect.stringContaining(`holds the LUKS container ${uuid}, the one to adopt`) as string,
    });
  });

  it.each([
    [
      "another UUID",
      "",
      { adopt: "5796cca7-6149-42b5-ab40-e765711a3551" },
      "is not the disk to adopt: it has LUKS UUID 5796cca7",
    ],
    ["no header", "", { adopt: "" }, "it has no LUKS header"],
    ["a user", "behind /dev/loop1\n", { adopt: uuid }, "in use: behind /dev/loop1"],
    [
      "an export of somebody's",
      "",
      { adopt: uuid, served: "/etc/nbd-server/conf.d/local.conf (exportname = /dev/loop1)\n" },
      "is told to serve /srv/photos.img already, or a loop device by its number: /etc/nbd-server/conf.d/local.conf (exportname = /dev/loop1)",
    ],
  ])("is refused with %s", async (_, users, adopt, what) => {
    const look = await observe("LUKS", users, adopt);
    expect(look).toMatchObject({ is: "foreign", what: expect.stringContaining(what) as string });
  });

  it("is never made where there is none", async () => {
    const exec = () =>
      Promise.resolve({
        exitCode: 1,
        stdout: "",
        stderr: "stat: cannot statx '/srv/photos.img': No such file or directory\n",
      });
    const host = { label: "server", exec, readFile } as unknown as Host;
    const look = await backingFile.observe(
      host,
      { ...inputs, adopt: uuid },
      { name: "photos", state: undefined },
    );
    expect(look).toMatchObject({
      is: "foreign",
      what: expect.stringContaining("there is no /srv/photos.img") as string,
    });
  });
});

describe("blocks that are to be reserved", () => {
  const path = "/var/lib/netdisk/photos.img";
  const wishes = { ...inputs, path, size: "1 MiB" as const };
  const create = commandOf(backingFile.plan({ is: "absent" }, wishes, { name: "photos" })[0]);

  it("are there when the file gets its name", () => {
    const shell = stubbedShell();
    shell.stub("chown", "");
    expect(shell.run(create)).toMatchObject({ status: 0, stderr: "" });
    expect(shell.read(path)).toHaveLength(2 ** 20);
  });

  it("and a run that is ended before that leave neither file nor note", () => {
    const shell = stubbedShell();
    shell.stub("chown", "");
    shell.stub("mv", "kill $PPID; sleep 1");
    expect(shell.run(create).status).toBe(143);
    expect(shell.run("ls -A /var/lib/netdisk /etc/netdisk/made").stdout).not.toMatch(/photos(\.img.*)?\n/);
    shell.stub("mv", "");
    expect(shell.run(create).stderr).toContain("has appeared meanwhile");
    expect(shell.read("/etc/netdisk/made/photos")).toBeUndefined();
  });

  it("and a run that is killed twice leave no note of a file that is gone", () => {
    const shell = stubbedShell();
    shell.stub("chown", "");
    shell.stub("mv", "kill -KILL $PPID; sleep 1");
    expect(() => shell.run(create)).toThrow("ended by SIGKILL");
    const noted = shell.read("/etc/netdisk/made/photos");
    expect(shell.run(`stat -c '%i %W' ${path}.netdisk-new`).stdout).toBe(noted);
    shell.stub("fallocate", "kill -KILL $PPID; sleep 1");
    expect(() => shell.run(create)).toThrow("ended by SIGKILL");
    expect(shell.read("/etc/netdisk/made/photos")).toBeUndefined();
  });

  it("and are not, are asked for once, and leave no file", () => {
    const shell = stubbedShell();
    // As ZFS does: takes the order, and makes holes.
    shell.stub("fallocate", 'truncate -s "$2" "$4"');
    const { status, stderr } = shell.run(create);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^the file system of \S+\/photos\.img reserves no blocks: choose "allocation: sparse"/,
    );
    expect(shell.run("ls -A /var/lib/netdisk").stdout).toBe("");
  });

  it("and are not are refused in a file that lost them, too", () => {
    const shell = stubbedShell();
    shell.write(path, "");
    shell.stub("fallocate", 'truncate -s "$2" "$4"');
    const state = { ...wishes, pinnedSize: "1 MiB" as const, allocation: "sparse" as const };
    const observed = {
      is: "present" as const,
      state: { ...state, exists: true, identity: "noted", reachable: true },
    };
    const { status, stderr } = shell.run(
      commandOf(backingFile.plan(observed, wishes, { name: "photos" })[0]),
    );
    expect(status).toBe(1);
    expect(stderr).toContain('choose "allocation: sparse"');
  });
});
