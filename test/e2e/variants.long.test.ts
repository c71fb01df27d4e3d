/** The ladder (harness/ladder.ts) for stacks that differ from the default one in what they are made of. */
import { expect } from "vitest";
import { articleStack, backingFile, keyFile, keyPassphrase } from "./harness/article";
import { clientTools, defaultVariant, ladderOf, serverTools, type Variant } from "./harness/ladder";
import { on } from "./harness/lab";
import { labDisk, serialRule } from "./harness/labDisk";
import { unlocked } from "./harness/passphrase";
import { defaultStack, pulumi, setDisks, testdisk } from "./harness/project";
import { expectNoChanges, up } from "./harness/scenario";

const loop: Variant = {
  ...defaultVariant,
  name: "a disk behind a loop device",
  stack: {
    ...defaultStack,
    disks: { testdisk: { ...testdisk, file: { ...testdisk.file, loop: true } } },
  },
  checks: {
    "the client's own tools say that all is as the article has it": () => clientTools(),
    "the server serves a loop device over the file": async () => {
      await serverTools("/dev/netdisk/testdisk");
      const listed = await on(
        "server",
        "losetup --list --noheadings --output BACK-FILE,DIO,OFFSET,SIZELIMIT",
      );
      expect(listed.split(/\s+/)).toEqual([defaultVariant.backing, "1", "0", "0"]);
      const session = "for pid in $(pidof nbd-server); do ls -l /proc/$pid/fd; done | grep -c /dev/loop";
      expect(Number(await on("server", session))).toBeGreaterThan(0);
    },
  },
};

const article: Variant = {
  ...defaultVariant,
  name: "the article's stack",
  stack: articleStack,
  checks: {
    "the client's own tools say what the article prints": async () => {
      await clientTools([
        /type:\s+LUKS1/,
        /cipher:\s+twofish-cbc-essiv:sha256/,
        /keysize:\s+256/,
        /offset:\s+4096\b/,
        /mode:\s+read\/write/,
      ]);
      const header = await on("client", "cryptsetup luksDump /dev/netdisk/testdisk");
      expect(header).toMatch(/Hash spec:\s+sha256/);
    },
    "the server is configured as printed": async () => {
      const lines = async (file: string) =>
        (await on("server", `grep -v '^\\s*#' /etc/nbd-server/${file}`))
          .split("\n")
          .map((line) => line.trim());
      expect(await lines("config")).toEqual([
        "[generic]",
        "user = nbd",
        "group = nbd",
        "listenaddr = localhost",
        "port = 10809",
        "allowlist = true",
        "includedir = /etc/nbd-server/conf.d",
      ]);
      expect(await lines("conf.d/testdisk.conf")).toEqual([
        "[testdisk]",
        "exportname = /dev/netdisk/testdisk",
        "virtstyle = none",
        "flush = true",
        "fua = false",
        "sync = false",
        "readonly = false",
        "authfile = /etc/nbd-server/allow",
      ]);
      expect(await lines("allow")).toEqual(["127.0.0.1/32"]);
    },
    "the article's own commands open the key and the disk": async () => {
      const open = `gpg --batch --pinentry-mode loopback --passphrase-fd 0 -d ${keyFile}`;
      expect(await on("client", `${open} | wc -c`, keyPassphrase)).toBe("4096");
      const test = "cryptsetup open --type luks --test-passphrase --key-file - /dev/netdisk/testdisk";
      await on("client", `${open} | ${test}`, keyPassphrase);
    },
  },
  backing: backingFile,
  key: keyFile,
  unlock: () => unlocked("testdisk", testdisk.mount.path, keyPassphrase),
};

const { mount, transport } = testdisk;
const disks = { testdisk: { mount, transport, device: { path: labDisk } } };

const disk: Variant = {
  ...defaultVariant,
  name: "a real disk",
  stack: { ...defaultStack, disks },
  prepare: async () => {
    await serialRule();
  },
  checks: {
    "the client's own tools say that all is as the article has it": () => clientTools(),
    "the server serves the disk itself, which nbd-server's account owns": async () => {
      await serverTools(labDisk);
      expect(await on("server", "stat -c %U /dev/ubdb")).toBe("nbd");
      const size = await on("server", "blockdev --getsize64 /dev/ubdb");
      expect(await on("client", 'blockdev --getsize64 "$(readlink -f /dev/netdisk/testdisk)"')).toBe(size);
    },
    "another disk behind the path is refused, and named": async () => {
      await serialRule("LAB-DISK-2");
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain("is another device now: serial LAB-DISK-2, 4 GiB; expected serial LAB-DISK-1");
      await serialRule();
      await up();
      await expectNoChanges();
    },
    "what is on it is no other disk's to take": async () => {
      const byPath = "/dev/disk/by-path/platform-uml-blkdev.1";
      setDisks({ ...disks, stranger: { mount: { path: "/mnt/stranger" }, device: { path: byPath } } });
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toMatch(
        /uml-blkdev\.1 is that of block-device "testdisk" .*, which has it as \/dev\/disk\/by-id\/lab-disk-1, and/,
      );
      setDisks(disks);
      await up();
      await expectNoChanges();
    },
  },
  backing: "/dev/ubdb",
  gone: async () => {
    expect(await on("server", "stat -c %U /dev/ubdb")).toBe("root");
  },
};

const session: Variant = {
  ...defaultVariant,
  name: "a disk of the default transport",
  stack: { ...defaultStack, disks: { testdisk: { file: testdisk.file, mount } } },
  checks: {
    "the client's own tools say that all is as the article has it": () => clientTools(),
    "the server serves it to its key alone": async () => {
      expect(await on("server", "cat /etc/netdisk/serve/testdisk.conf")).toContain(
        `\texportname = ${defaultVariant.backing}\n`,
      );
      expect(await on("server", "systemctl is-enabled netdisk-serve-testdisk.socket")).toBe("enabled");
      // nbd-server opens a port even when it serves its stdin: it must be in a network of its own.
      expect(await on("server", "ss -Hltn | grep -v ':22 ' || test $? = 1")).toBe("");
      expect(await on("client", "netdisk status testdisk --json")).toContain('"state":"up"');
    },
  },
  waits: true,
  gone: async () => {
    expect(await on("server", "head -n 1 /var/lib/netdisk/lease/testdisk")).toBe("free");
    expect(await on("server", "getent passwd netdisk-serve || test $? = 2")).toBe("");
    expect(await on("client", "ls -d /run/netdisk/testdisk 2>/dev/null || test $? = 2")).toBe("");
    expect(await on("client", "ls /var/lib/netdisk/given-up 2>/dev/null || test $? = 2")).toBe("");
  },
};

for (const variant of [loop, article, disk, session]) ladderOf(variant);
