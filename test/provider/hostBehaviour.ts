/** What every Host does, whatever its transport: one suite, run against each of them on a real machine. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { chmodSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExecOptions, Host } from "../../provider/host/host";
import { sh, type Command } from "../../provider/host/sh";
import { lockDir } from "../../schema/paths";
import { Secret } from "../../schema/secret";

const alive = (pid: number): boolean => {
  try {
    // A zombie is dead, only not yet buried.
    return !/^\d+ \([^]*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
};

/** Waits for a file that a command on the host writes. */
export async function appears(path: string): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    if (existsSync(path) && statSync(path).size > 0) return readFileSync(path, "utf8");
    await sleep(25);
  }
  throw new Error(`${path} did not appear`);
}

export async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    if (tries > 200) throw new Error(`still not: ${what.toString()}`);
    await sleep(25);
  }
}

export interface Subject {
  host: Host;
  /** Loses the contact as our own death would; the machine stays. */
  die(): void;
}

/** @param canDie whether `die` can be played: a child process of ours cannot outlive the test's process. */
export function behavesAsHost(
  canDie: boolean,
  start: () => Promise<Subject>,
  stop: () => Promise<void>,
): void {
  let subject: Subject;
  let host: Host;
  let directory: string;
  const lock = `netdisk-test-${process.pid}`;
  const at = (name: string) => join(directory, name);
  // What only reads goes another way by SSH (keptShells.ts), and nobody must notice.
  const kinds = [
    { kind: "a command", reads: false },
    ...(canDie ? [{ kind: "a command that only reads", reads: true }] : []),
  ];

  beforeAll(async () => {
    subject = await start();
    ({ host } = subject);
    directory = mkdtempSync(join(tmpdir(), "netdisk-host-"));
  });
  afterAll(async () => {
    await stop();
    rmSync(directory, { recursive: true });
    for (const name of [lock, `${lock}-b`]) rmSync(join(lockDir, name), { force: true });
  });

  describe.each(kinds)("exec of $kind", ({ reads }) => {
    const exec = (command: Command, options: ExecOptions = {}) => host.exec(command, { ...options, reads });

    it("returns both outputs and the exit status; a failure is a result", async () => {
      expect(await exec(sh`echo out; echo err >&2; exit ${7}`)).toEqual({
        exitCode: 7,
        stdout: "out\n",
        stderr: "err\n",
      });
    });

    it("runs as root, in the C locale, with sbin in PATH and umask 022", async () => {
      const { stdout } = await exec(sh`id -u; echo $LC_ALL; umask; echo :$PATH:`);
      expect(stdout).toMatch(/^0\nC\n0022\n.*:\/usr\/sbin:.*:\/sbin:/);
    });

    it("does not hand our own environment on", async () => {
      process.env.NETDISK_TEST_LEAK = "hunter2";
      expect((await exec(sh`env`)).stdout).not.toContain("hunter2");
    });

    it("reports death by signal as 128 + n", async () => {
      expect((await exec(sh`kill -KILL $$`)).exitCode).toBe(137);
      expect((await exec(sh`sh -c 'kill -SEGV $$'; exit $?`)).exitCode).toBe(139);
    });

    it("closes standard input when there is none", async () => {
      expect((await exec(sh`cat; echo end`)).stdout).toBe("end\n");
    });

    it("hands on standard input byte by byte, from text, bytes and secrets", async () => {
      for (const stdin of [
        "a\n\nb",
        Buffer.from("a\n\nb"),
        new Secret("a\n\nb"),
        new Secret(Buffer.from("a\n\nb")),
      ])
        expect((await exec(sh`cat`, { stdin })).stdout).toBe("a\n\nb");
      const large = Buffer.alloc(3_000_000, "0123456789");
      expect((await exec(sh`wc -c`, { stdin: large })).stdout.trim()).toBe("3000000");
    });

    it("is not disturbed by a command that leaves its input unread", async () => {
      const stdin = Buffer.alloc(1_000_000);
      expect(await exec(sh`exit 3`, { stdin })).toMatchObject({ exitCode: 3 });
    });

    it("tells each line as it comes, the last one also without an end, and progress bars by their last state", async () => {
      const lines: string[] = [];
      const times: number[] = [];
      await exec(sh`echo ünï; sleep 0.3; printf '1%%\r2%%\r\nlast'`, {
        onLine: (line) => {
          lines.push(line);
          times.push(Date.now());
        },
      });
      expect(lines).toEqual(["ünï", "2%", "last"]);
      expect(times[1]! - times[0]!).toBeGreaterThan(200);
    });

    it("runs many at once, and all come to an end", async () => {
      const results = await Promise.all(Array.from({ length: 30 }, (_, i) => exec(sh`echo ${i}`)));
      expect(results.map(({ stdout }) => Number(stdout))).toEqual(Array.from({ length: 30 }, (_, i) => i));
    });

    it("does not wait for a daemon that keeps the output open", async () => {
      const began = Date.now();
      expect(await exec(sh`sleep 8 & echo $!`)).toMatchObject({ exitCode: 0 });
      expect(Date.now() - began).toBeLessThan(5_000);
    });

    it("ends a command that prints without end", async () => {
      const error = exec(sh`yes & echo $! >${at("yes")}; wait`, { timeoutMs: 60_000 });
      await expect(error).rejects.toMatchObject({
        code: "UNREADABLE",
        message: expect.stringContaining("64 MiB") as string,
      });
      expect(alive(Number(readFileSync(at("yes"), "utf8")))).toBe(false);
    });
  });

  describe.each(kinds)("ending $kind", ({ reads }) => {
    const exec = (command: Command, options: ExecOptions = {}) => host.exec(command, { ...options, reads });
    const at = (name: string) => join(directory, `${name}-${reads}`);

    /** Starts children in its own group, in another session, and one without our mark in its environment. */
    const family = (name: string, trap: Command): Command => sh`${trap}
sleep 301 & echo $! >${at(`${name}1`)}
setsid sleep 302 & echo $! >${at(`${name}2`)}
env -i sleep 303 & echo $! >${at(`${name}3`)}
echo $$ >${at(`${name}4`)}
wait; wait; wait`;
    const pids = (name: string) =>
      Promise.all([1, 2, 3, 4].map(async (n) => Number(await appears(at(`${name}${n}`)))));

    it("a time limit ends it and all its children, and says so", async () => {
      const began = Date.now();
      const done = exec(family("limit", sh``), { timeoutMs: 1_000 });
      const error = expect(done).rejects.toMatchObject({
        code: "TIMEOUT",
        message: expect.stringMatching(/took longer than 1 s\. It was ended on the host, with all/) as string,
      });
      const all = await pids("limit");
      expect(all.every(alive)).toBe(true);
      await error;
      expect(all.filter(alive)).toEqual([]);
      expect(Date.now() - began).toBeLessThan(5_000);
    });

    it("an abort ends it likewise", async () => {
      const abort = new AbortController();
      const done = exec(family("abort", sh``), { signal: abort.signal });
      const error = expect(done).rejects.toMatchObject({ code: "CANCELLED" });
      const all = await pids("abort");
      abort.abort();
      await error;
      expect(all.filter(alive)).toEqual([]);
    });

    it("kills what ignores SIGTERM", async () => {
      const done = exec(family("stubborn", sh`trap '' TERM`), { timeoutMs: 500 });
      const error = expect(done).rejects.toMatchObject({
        code: "TIMEOUT",
        message: expect.stringContaining("It was ended on the host") as string,
      });
      const all = await pids("stubborn");
      await error;
      expect(all.filter(alive)).toEqual([]);
    });

    it("does not start what is already cancelled", async () => {
      const done = exec(sh`echo x >${at("never")}`, { signal: AbortSignal.abort() });
      await expect(done).rejects.toMatchObject({ code: "CANCELLED" });
      expect(existsSync(at("never"))).toBe(false);
    });
  });

  describe("run", () => {
    it("returns stdout, or says host, command, status and the last lines of stderr", async () => {
      expect(await host.run(sh`echo fine`)).toBe("fine\n");
      await expect(host.run(sh`seq 30 >&2; exit 4`)).rejects.toMatchObject({
        code: "COMMAND",
        message: expect.stringMatching(/`seq 30 >&2; exit 4` ended with status 4: 21\n[^]*30\n/) as string,
      });
    });
  });

  describe("locks", () => {
    it("lets one command at a time run, and keeps the notice out of stderr", async () => {
      const command = sh`test ! -e ${at("in")} || echo twice; : >${at("in")}; sleep 0.2; rm ${at("in")}; echo e >&2`;
      const results = await Promise.all([1, 2, 3].map(() => host.exec(command, { lock })));
      expect(results).toEqual(Array(3).fill({ exitCode: 0, stdout: "", stderr: "e\n" }));
    });

    it("does not count the wait for the lock as the command's time", async () => {
      const first = host.exec(sh`sleep 1.5`, { lock });
      await sleep(300);
      expect(await host.exec(sh`echo mine`, { lock, timeoutMs: 1_000 })).toMatchObject({ stdout: "mine\n" });
      await first;
    });

    it("takes several, and each of them excludes others", async () => {
      const both = host.exec(sh`echo x >${at("both")}; sleep 0.7; rm ${at("both")}`, {
        lock: [lock, `${lock}-b`],
      });
      await appears(at("both"));
      await host.waitForLock(`${lock}-b`);
      expect(existsSync(at("both"))).toBe(false);
      await both;
    });

    it("is held by what the command left running, also when the command itself has ended", async () => {
      await host.exec(sh`sleep 1 >/dev/null 2>&1 & echo $! >${at("left")}`, { lock });
      const left = Number(readFileSync(at("left"), "utf8"));
      expect(alive(left)).toBe(true);
      await host.waitForLock(lock);
      expect(alive(left)).toBe(false);
    });

    it("waits for nothing when nobody ever took it", async () => {
      await host.waitForLock("netdisk-test-never-taken");
    });

    it("is free again after a time limit", async () => {
      await expect(host.exec(sh`sleep 304`, { lock, timeoutMs: 300 })).rejects.toMatchObject({
        code: "TIMEOUT",
      });
      await host.waitForLock(lock, { timeoutMs: 1_000 });
    });

    it("is out of reach of other users, whoever made its directory", async () => {
      mkdirSync(lockDir, { recursive: true });
      chmodSync(lockDir, 0o755);
      await host.exec(sh`true`, { lock });
      expect(statSync(lockDir).mode & 0o777).toBe(0o700);
    });

    it.runIf(canDie)(
      "is kept by the orphan of a dead client, whose queued commands never start",
      async () => {
        const running = host.exec(sh`echo $$ >${at("orphan")}; sleep 2; echo done >${at("orphan-done")}`, {
          lock,
        });
        const lost = expect(running).rejects.toMatchObject({
          code: "UNREACHABLE",
          message: expect.stringContaining("may still be running") as string,
        });
        const orphan = Number(await appears(at("orphan")));
        const queued = expect(host.exec(sh`echo x >${at("queued")}`, { lock })).rejects.toMatchObject({
          code: "UNREACHABLE",
        });
        await sleep(300);
        subject.die();
        await Promise.all([lost, queued]);
        expect(alive(orphan)).toBe(true);
        await host.waitForLock(lock);
        expect(existsSync(at("orphan-done"))).toBe(true);
        await sleep(200);
        expect(existsSync(at("queued"))).toBe(false);
      },
    );
  });

  describe("readFile", () => {
    it("returns every byte", async () => {
      const bytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => i % 256));
      writeFileSync(at("bytes"), bytes);
      expect(await host.readFile(at("bytes"))).toEqual(bytes);
      writeFileSync(at("empty"), "");
      expect(await host.readFile(at("empty"))).toEqual(Buffer.alloc(0));
    });

    it("knows that a file is absent: no such file, no such directory, a file where a directory should be", async () => {
      for (const path of ["no", "no/no", "bytes/no", "it's not\nhere"])
        expect(await host.readFile(at(path)), path).toBeUndefined();
    });

    it("does not take for absent what only cannot be read", async () => {
      symlinkSync(at("nowhere"), at("dangling"));
      symlinkSync(at("loop"), at("loop"));
      for (const [path, found] of [
        [directory, "Is a directory"],
        [at("dangling"), "a symbolic link to nothing"],
        [at("loop"), "symbolic link"],
        [`/${"x".repeat(300)}`, "File name too long"],
        ["/proc/self/mem", "Input/output error"],
      ] as const) {
        await expect(host.readFile(path), path).rejects.toMatchObject({
          code: "UNREADABLE",
          message: expect.stringMatching(new RegExp(`cannot be read: .*${found}`, "i")) as string,
        });
      }
    });
  });

  describe("writeFile", () => {
    it("writes content, mode and owner, and makes the directory", async () => {
      await host.writeFile(at("new/deep/file"), "text ü\n", { mode: 0o640, owner: "nobody:daemon" });
      const stat = statSync(at("new/deep/file"));
      expect(readFileSync(at("new/deep/file"), "utf8")).toBe("text ü\n");
      expect([stat.mode & 0o7777, stat.uid, stat.gid]).toEqual([0o640, 65534, 1]);
      expect(statSync(at("new/deep")).mode & 0o7777).toBe(0o755);
      expect(statSync(at("new")).mode & 0o7777).toBe(0o755);
      expect(readdirSync(at("new/deep"))).toEqual(["file"]);
    });

    it("writes bytes, and nothing at all", async () => {
      const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7) % 256));
      await host.writeFile(at("binary"), bytes, { mode: 0o600 });
      expect(readFileSync(at("binary"))).toEqual(bytes);
      await host.writeFile(at("nothing"), "", { mode: 0o600 });
      expect(statSync(at("nothing")).size).toBe(0);
    });

    it("replaces the file by another inode, so that a reader has the old or the new one", async () => {
      writeFileSync(at("old"), "old");
      chmodSync(at("old"), 0o777);
      const before = statSync(at("old")).ino;
      await host.writeFile(at("old"), "new", { mode: 0o600 });
      expect(statSync(at("old")).ino).not.toBe(before);
      expect(statSync(at("old")).mode & 0o777).toBe(0o600);
    });

    it("replaces a link, and leaves what it led to alone", async () => {
      writeFileSync(at("behind"), "behind");
      symlinkSync(at("behind"), at("link"));
      await host.writeFile(at("link"), "new", { mode: 0o644 });
      expect(lstatSync(at("link")).isSymbolicLink()).toBe(false);
      expect(readFileSync(at("behind"), "utf8")).toBe("behind");
    });

    it("fails as a whole, without a trace", async () => {
      mkdirSync(at("dir/sub"), { recursive: true });
      for (const [path, owner] of [
        ["dir/sub", "root:root"],
        ["dir/file", "no-such-user:root"],
      ] as const) {
        await expect(host.writeFile(at(path), "x", { mode: 0o600, owner }), path).rejects.toMatchObject({
          code: "COMMAND",
          message: expect.stringContaining("cannot be written, the old file is unchanged") as string,
        });
      }
      expect(readdirSync(at("dir"))).toEqual(["sub"]);
      expect(readdirSync(at("dir/sub"))).toEqual([]);
    });
  });
}
