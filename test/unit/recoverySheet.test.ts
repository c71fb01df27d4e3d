/** The recovery sheet's commands, typed into a shell as a person would: what goes wrong on the way never costs the data. */
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { recoverySheet } from "../../components/recoverySheet";
import { commandsOf } from "../e2e/harness/sheet";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

const sheet = recoverySheet({
  name: "photos",
  luksUuid: "5796cca7-6149-42b5-ab40-e765711a3551",
  endpoint: "203.0.113.7:22",
  backing: "/var/lib/netdisk/photos.img",
  keyReading: undefined,
  blockSize: undefined,
  sealed: "-----BEGIN PGP MESSAGE-----\n\nc2VhbGVk\n-----END PGP MESSAGE-----\n",
});

it("is in docs/recovery.md with the same commands, from the sealed copy on", () => {
  const page = readFileSync("docs/recovery.md", "utf8");
  for (const step of [2, 3, 4]) expect(page).toContain(commandsOf(sheet, step).replaceAll(/^ {7}/gm, "   "));
});

describe.each(["bash --norc -i", "dash -i"])("typed into %s", (interactive) => {
  let shell: StubbedShell;
  beforeEach(() => {
    shell = stubbedShell();
    shell.write("sheet.txt", sheet);
    shell.write("disk.img", "cipher text");
    // What the disk holds, as if it were mounted for writing.
    shell.write("mnt/photo", "the only copy");
    shell.write("packed/key", "secret");
    shell.write("packed/header", "LUKS");
    shell.write("shm/other", "");
    shell.stub("gpg", `exec tar cz -C ${shell.path("packed")} key header`);
    shell.stub("gpgconf", "");
    shell.stub(
      "losetup",
      `case "$*" in *--show*) echo /dev/loop7 ;; "--detach /dev/loop7") ;; *) exit 1 ;; esac`,
    );
    shell.stub("cryptsetup", "");
    shell.stub("mount", "");
    // As Linux does: who stands in it keeps it busy.
    shell.stub(
      "umount",
      `case $(pwd -P) in ${shell.path("mnt")}*) busy=1 ;; esac
[ -z "\${busy-}" ] && [ ! -e ${shell.path("held")} ] || { echo "umount: target is busy." >&2; exit 32; }`,
    );
  });

  const step = (n: number) => commandsOf(sheet, n);
  const type = (...lines: string[]) => {
    shell.write(
      "typed",
      lines.join("\n").replaceAll("/dev/shm", shell.path("shm")).replaceAll("/mnt", shell.path("mnt")),
    );
    return shell.run(`exec ${interactive} <typed`);
  };
  const left = (folder: string) => shell.run(`ls ${folder}`).stdout.trimEnd().split("\n");
  const called = (name: string) => shell.calls().filter((call) => call.startsWith(`${name} `));

  it("opens the disk, closes it, and leaves no key", () => {
    type(step(1), step(2), step(3), step(4));
    expect(shell.calls().map((call) => call.replace(/rescue\.\w{6}/g, "rescue.X"))).toEqual([
      "gpg --decrypt disk.asc",
      "losetup --find --show --sector-size 4096 disk.img",
      `cryptsetup open --type luks --header ${shell.path("shm")}/rescue.X/header --key-file ${shell.path("shm")}/rescue.X/key /dev/loop7 rescue`,
      `mount -o ro,norecovery /dev/mapper/rescue ${shell.path("mnt")}`,
      `umount ${shell.path("mnt")}`,
      "cryptsetup close rescue",
      "losetup --detach /dev/loop7",
      "gpgconf --kill gpg-agent",
    ]);
    expect(left("shm")).toEqual(["other"]);
    expect(shell.read("disk.asc")).toContain("-----BEGIN PGP MESSAGE-----");
  });

  it("closes a disk in which one stands", () => {
    type(step(1), step(2), step(3), "cd /mnt", step(4));
    expect(called("losetup").at(-1)).toBe("losetup --detach /dev/loop7");
    expect([left("mnt"), left("shm")]).toEqual([["photo"], ["other"]]);
  });

  it("closes nothing of a disk that somebody uses, and forgets the key", () => {
    shell.write("held", "");
    type(step(1), step(2), step(3), "cd /mnt", step(4));
    expect(called("cryptsetup")).toHaveLength(1);
    expect([left("mnt"), left("shm")]).toEqual([["photo"], ["other"]]);
  });

  it.each(["/mnt", "~", "/dev/shm"])(
    "removes nothing in a shell that knows nothing of it, in %s",
    (place) => {
      shell.write("home/notes", "");
      shell.write("shm/key", "");
      // One by one: dash forgets what was typed ahead of an error.
      const said = step(4)
        .split("\n")
        .map((line) => type(`HOME=${shell.path("home")}`, `cd ${place}`, line).stderr);
      expect(said.join()).toMatch(/device: parameter .*rescue: parameter /s);
      expect([left("mnt"), left("home"), left("shm")]).toEqual([["photo"], ["notes"], ["key", "other"]]);
    },
  );

  it("puts the key nowhere without a directory in memory", () => {
    shell.stub("mktemp", "exit 1");
    const before = left(".").filter((name) => name !== "calls");
    type(step(1), step(2), step(3), step(4));
    expect(called("gpg")).toEqual([]);
    expect(left(".").filter((name) => !["calls", "typed", "disk.asc"].includes(name))).toEqual(before);
    expect(left("mnt")).toEqual(["photo"]);
  });
});
