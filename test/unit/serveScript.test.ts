/** serve.sh, as it lies on a server: who gets a session, who never does again, and that the one before ends first. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { part, render } from "../../provider/template";

let root: string;
const slice = () => join(root, "netdisk-serve-t1.slice");
const ownKill = () => join(slice(), "own/cgroup.kill");
const backing = () => join(root, "t1.img");
/** As the run that made or took the file has noted it. */
const which = () => `${statSync(backing()).ino} ${Math.floor(statSync(backing()).birthtimeMs / 1000)}`;
const note = (text = which()) => writeFileSync(join(root, "made"), `${text}\n`);
const leaseText = () => readFileSync(join(root, "lease"), "utf8");

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "netdisk-serve-"));
  for (const folder of ["bin", "locks", "netdisk-serve-t1.slice/own"])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(ownKill(), "");
  writeFileSync(join(root, "bin/nbd-server"), "#!/bin/sh\necho served\n", { mode: 0o755 });
  // Only root can change to another account.
  writeFileSync(
    join(root, "bin/setpriv"),
    '#!/bin/sh\nwhile case $1 in dd | stat) false ;; esac; do shift; done\nexec "$@"\n',
    {
      mode: 0o755,
    },
  );
  writeFileSync(backing(), "cipher text");
  note();
});
afterEach(() => rmSync(root, { recursive: true }));

/** A session before this one; the cgroup of a real one is empty soon after somebody wrote to cgroup.kill. */
function before(populated: 0 | 1): string {
  const group = join(slice(), "before");
  mkdirSync(group);
  writeFileSync(join(group, "cgroup.procs"), "4711\n");
  writeFileSync(join(group, "cgroup.events"), `populated ${populated}\nfrozen 0\n`);
  return group;
}
const killed = (group: string) => existsSync(join(group, "cgroup.kill"));

function script(readOnly = false): string {
  const text = render("serve.sh", {
    name: "t1",
    unit: "netdisk-serve-t1@.service",
    config: "/etc/netdisk/serve/t1.conf",
    lease: join(root, "lease"),
    lock: join(root, "locks/serve-t1"),
    backing: backing(),
    user: "nbd",
    readOnly: String(readOnly),
    made: join(root, "made"),
    sameFile: part("same-file.sh"),
  });
  // On a host the connection is stdin, both ways, and the kernel says which cgroup this is.
  return text.replaceAll(">&0", ">&1").replace(/^own=.*$/m, `own=${slice()}/own`);
}

const key = "0123456789abcdef";
const [here, elsewhere] = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"];
const [first, second] = ["1".repeat(32), "2".repeat(32)];
const env = () => ({ PATH: `${root}/bin:${process.env.PATH ?? ""}` });
const ask = (
  verb: string,
  machine: string,
  nonce: string,
  host: string,
  { readOnly = false, within = "", by = key } = {},
): string =>
  spawnSync("/bin/sh", ["-c", `${within}\n${script(readOnly)}`], {
    input: `${verb} ${by} ${machine} ${nonce} ${host}\n`,
    encoding: "utf8",
    env: env(),
  }).stdout;

/** All that a client is told, who is let in after the first word to it: the session before ends then. */
async function toldUntil(end: () => void): Promise<string> {
  const child = spawn("/bin/sh", ["-c", script()], { env: env() });
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
  child.stdin.end(`serve ${key} ${here} ${first} nas\n`);
  const ended = new Promise((resolve) => child.on("close", resolve));
  while (!said.includes("\n")) await new Promise((resolve) => setTimeout(resolve, 20));
  end();
  await ended;
  return said;
}

describe("serve.sh", () => {
  it("serves whom it does not know when nobody has the disk, and writes it down", () => {
    expect(ask("serve", here, first, "nas")).toBe("ok\nserved\n");
    expect(leaseText()).toMatch(new RegExp(`^${key} ${here} ${first} nas 20\\S+Z\n$`));
  });

  it("refuses another machine by the holder's name and since when, and leaves the holder's session alone", () => {
    ask("serve", here, first, "nas");
    const group = before(1);
    expect(ask("serve", elsewhere, second, "laptop")).toMatch(
      /^refused: the disk t1 is held by nas since 20\S+Z\. .*netdisk takeover t1\n$/,
    );
    expect(killed(group)).toBe(false);
    expect(leaseText()).toContain(first);
  });

  it("ends the session before, and serves the same holder at once", () => {
    ask("serve", here, first, "nas");
    const group = before(0);
    expect(ask("serve", here, first, "nas")).toBe("ok\nserved\n");
    expect(killed(group)).toBe(true);
  });

  it("serves nobody until the session before has no process left", async () => {
    const group = before(1);
    const told = await toldUntil(() =>
      writeFileSync(join(group, "cgroup.events"), "populated 0\nfrozen 0\n"),
    );
    expect(told).toBe("waiting: the session before this one has not ended yet (process 4711)\nok\nserved\n");
  });

  it("serves a client that has rebooted, and never again what it was before", () => {
    ask("serve", here, first, "nas");
    expect(ask("serve", here, second, "nas")).toBe("ok\nserved\n");
    expect(ask("serve", here, first, "nas")).toMatch(/^refused: fenced: .* nas holds it since /);
    expect(ask("takeover", here, first, "nas")).toMatch(/^refused: fenced: /);
  });

  it.each([
    ["its key was made anew", "fedcba9876543210", here],
    ["its machine has another id", key, elsewhere],
  ])("knows the attachment that it had by its id when %s, and no other", (_, by, machine) => {
    ask("serve", here, first, "nas");
    expect(ask("serve", machine, first, "nas", { by })).toBe("ok\nserved\n");
    expect(leaseText()).toMatch(new RegExp(`^${by} ${machine} ${first} nas 20\\S+Z\n$`));
    const held = /^refused: the disk t1 is held by nas since /;
    const [otherKey, otherMachine] = [
      by === key ? "fedcba9876543210" : key,
      machine === here ? elsewhere : here,
    ];
    expect(ask("serve", machine, second, "nas", { by: otherKey })).toMatch(held);
    expect(ask("serve", otherMachine, second, "nas", { by })).toMatch(held);
    expect(ask("serve", otherMachine, first, "nas", { by: otherKey })).toMatch(held);
  });

  it("names what hangs below a session that cannot be ended, and what ends that", () => {
    before(1);
    writeFileSync(join(root, "bin/sleep"), "#!/bin/sh\n", { mode: 0o755 });
    expect(ask("serve", here, first, "nas")).toMatch(
      /\nrefused: .* cannot be ended: process 4711 is in state .*dmesg on the server.* or reboot the server\n$/,
    );
  });

  it("serves nobody where nothing could prove that the session before has ended", () => {
    rmSync(ownKill());
    expect(ask("takeover", here, first, "nas")).toMatch(
      /^refused: the server cannot end a session for certain: \S+ has no cgroup\.kill \(Linux 5\.14 /,
    );
    expect(existsSync(join(root, "lease"))).toBe(false);
  });

  it("does not take a session whose end it cannot see for one that has ended", async () => {
    const group = before(1);
    rmSync(join(group, "cgroup.events"));
    const told = await toldUntil(() => rmSync(group, { recursive: true }));
    expect(told).toMatch(/^waiting: .*\nok\nserved\n$/);
  });

  it("gives a disk to who takes it over, and fences who had it, for good", () => {
    ask("serve", here, first, "nas");
    const group = before(0);
    expect(ask("takeover", elsewhere, second, "laptop")).toBe("taken over\nok\n");
    expect(killed(group)).toBe(true);
    expect(ask("serve", here, first, "nas")).toMatch(/^refused: fenced: .* laptop holds it /);
    expect(ask("serve", elsewhere, second, "laptop")).toBe("ok\nserved\n");
    ask("release", elsewhere, second, "laptop");
    expect(ask("serve", here, first, "nas")).toMatch(/^refused: fenced: .* nobody holds it now/);
  });

  it("fences whoever has lost the disk, however many have had it since", () => {
    const since = Array.from({ length: 12000 }, (_, n) => String(n).padStart(32, "0")).join("\n");
    writeFileSync(join(root, "lease"), `free\n${first}\n${since}\n`);
    expect(ask("serve", elsewhere, second, "laptop")).toBe("ok\nserved\n");
    expect(ask("serve", here, first, "nas")).toMatch(/^refused: fenced: /);
  });

  it("frees a disk for its holder only", () => {
    ask("serve", here, first, "nas");
    expect(ask("release", elsewhere, second, "laptop")).toBe("ok\n");
    expect(ask("lease", elsewhere, second, "laptop")).toMatch(/^held by nas since 20\S+Z\nok\n$/);
    expect(ask("release", here, first, "nas")).toBe("released\nok\n");
    expect(ask("lease", elsewhere, second, "laptop")).toBe("free\nok\n");
    expect(ask("serve", elsewhere, second, "laptop")).toBe("ok\nserved\n");
  });

  it.each([false, true])(
    "says why a backing cannot be opened, and makes none (read-only: %s)",
    (readOnly) => {
      rmSync(backing());
      expect(ask("serve", here, first, "nas", { readOnly })).toBe(
        `refused: the backing cannot be opened: '${backing()}': No such file or directory. Once that is cured, on nas: netdisk resume t1\n`,
      );
      expect(existsSync(backing())).toBe(false);
    },
  );

  describe("and another file at the backing's path", () => {
    const served = () => ask("serve", here, first, "nas");
    const inode = () => which().split(" ")[0];

    it.each([
      ["an inode of its own", () => `1${which()}`],
      ["a birth of its own", () => `${inode()} 1764547200`],
    ])("is not served to anybody, by %s; what both are is said, and the cure", (_, noted) => {
      note(noted());
      const said = served();
      expect(said).toMatch(
        /^refused: another file than the disk's lies at \S+ on the server: inode \d+ of 20\S+Z; noted is inode \d+ of 20\S+Z\. Its file system may not be mounted; once it is, on nas: netdisk resume t1\. If this file is meant, pulumi up says what to do\n$/,
      );
      // All that the client keeps of a refusal (agent/src/transport.h).
      expect(said.length).toBeLessThan(480);
      note();
      expect(served()).toBe("ok\nserved\n");
    });

    it("is known by its inode alone where the file system of either knew no birth", () => {
      note(`${inode()} 0`);
      expect(served()).toBe("ok\nserved\n");
      note(`1${inode()} 0`);
      expect(served()).toMatch(/^refused: .*; noted is inode \d+\. /);
    });

    it("may be any where nothing is noted, which a run does", () => {
      rmSync(join(root, "made"));
      expect(served()).toMatch(/^refused: .*; noted is nothing\. .*pulumi up/);
    });
  });

  it("serves a device, which is known by its name", () => {
    const device = script().replaceAll(backing(), "/dev/null");
    const { stdout } = spawnSync("/bin/sh", ["-c", device], {
      input: `serve ${key} ${here} ${first} nas\n`,
      encoding: "utf8",
      env: env(),
    });
    expect(stdout).toBe("ok\nserved\n");
  });

  it("leaves the backing as it is", () => {
    expect(ask("serve", here, first, "nas")).toBe("ok\nserved\n");
    expect(readFileSync(backing(), "utf8")).toBe("cipher text");
  });

  it("serves nobody when the lease cannot be read", () => {
    writeFileSync(join(root, "lease"), "");
    expect(ask("serve", here, first, "nas")).toMatch(
      /^refused: the lease cannot be read on the server: .* or remove it there .*: netdisk resume t1\n$/,
    );
  });

  describe("keeps the lease byte for byte and serves nobody when it cannot be written", () => {
    const refused = (why: string) =>
      new RegExp(
        `^refused: the lease cannot be written on the server: ${why}\\. Make \\S+ writable there, with room for it; then on laptop: netdisk takeover t1\n$`,
      );
    const takeOver = (within?: string) => ask("takeover", elsewhere, second, "laptop", { within });
    let held: string;
    beforeEach(() => {
      ask("serve", here, first, "nas");
      held = leaseText();
    });

    it("because something else is in its place", () => {
      mkdirSync(join(root, "lease.new"));
      expect(takeOver()).toMatch(refused("rm: .*lease.new': Is a directory"));
      expect(leaseText()).toBe(held);
    });

    it("because there is no room: the kernel lets no byte be written to a file", () => {
      expect(takeOver("trap '' XFSZ; ulimit -f 0")).toMatch(refused("cat: .*: File too large"));
      expect(leaseText()).toBe(held);
      // What was left of the attempt is in nobody's way.
      expect(takeOver()).toBe("taken over\nok\n");
    });

    it.each(["sync", "mv"])("because %s fails", (program) => {
      writeFileSync(join(root, "bin", program), "#!/bin/sh\necho no >&2; exit 1\n", { mode: 0o755 });
      expect(takeOver()).toMatch(refused("no"));
      expect(leaseText()).toBe(held);
    });
  });

  it("serves nobody whose lease may not be on the disk yet", () => {
    ask("serve", here, first, "nas");
    writeFileSync(join(root, "bin/sync"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    expect(ask("serve", here, first, "nas")).toMatch(/^refused: the lease cannot be written .*resume t1\n$/);
  });

  it("keeps its lock out of everybody's reach, whoever made the directory", () => {
    ask("serve", here, first, "nas");
    expect(statSync(join(root, "locks")).mode & 0o777).toBe(0o700);
  });
});
