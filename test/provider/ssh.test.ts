/** One connection and what runs over it: scripted servers, real sockets. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { sh } from "../../provider/host/sh";
import { Secret } from "../../schema/secret";
import { ask, echo, errorOf, hi, open, relayTo, server, unusedPort } from "./sshFixture";
import { reads, writes, type ScriptedServer } from "./sshServer";

describe("the connection", () => {
  it("is made at the first use and shared by all commands, 8 at a time", async () => {
    const { connection, count, ...scripted } = await server([{ command: "true", delayMs: 30, repeat: true }]);
    const host = open(connection);
    expect(count.connections).toBe(0);
    await Promise.all(Array.from({ length: 20 }, () => host.exec(sh`true`)));
    expect(count).toEqual({ connections: 1, channels: 20, channelsAtOnce: 8 });
    expect(scripted.received).toHaveLength(20);
    scripted.done();
  });

  it("has commands that only read take turns in four shells, also after one of them was lost or ended", async () => {
    const { connection, count, drop, ...scripted } = await server([
      { command: /^true \d+$/, delayMs: 30, repeat: true },
      { command: "sleep 1000", hang: true },
    ]);
    const host = open(connection);
    const many = () =>
      Promise.all(Array.from({ length: 20 }, (_, i) => host.exec(sh`true ${i}`, { reads: true })));
    await many();
    await many();
    expect(count).toEqual({ connections: 1, channels: 4, channelsAtOnce: 4 });
    const limited = await errorOf(host.exec(sh`sleep 1000`, { reads: true, timeoutMs: 100 }));
    expect(limited.message).toMatch(/took longer than .* It was ended on the host/);
    await many();
    // Another shell took the place of the one that was ended; one channel ended it.
    expect(count).toMatchObject({ connections: 1, channels: 6 });
    drop();
    await sleep(50);
    await many();
    expect(count).toMatchObject({ connections: 2, channels: 10 });
    expect(scripted.received).toHaveLength(81);
    scripted.done();
  });

  it("is asked the same once for all who ask before it has begun, and anew for who asks later", async () => {
    const { connection, received } = await server([{ command: "cat x", delayMs: 50, repeat: true }]);
    const host = open(connection);
    const question = () => host.exec(sh`cat x`, { reads: true });
    const first = question();
    const same = question();
    while (received.length === 0) await sleep(1);
    const later = question();
    expect((await Promise.all([first, same, later])).map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    expect(received).toHaveLength(2);
    await Promise.all([host.exec(sh`cat x`), host.exec(sh`cat x`)]);
    expect(received, "what may change something is run each time").toHaveLength(4);
  });

  it("goes on with a question whose first asker was cancelled, for the others", async () => {
    const { connection } = await server([echo()]);
    const host = open(connection);
    const stop = new AbortController();
    const first = errorOf(host.exec(sh`echo hi`, { reads: true, signal: stop.signal }));
    const other = host.exec(sh`echo hi`, { reads: true });
    // Both wait for the login, so nothing has begun.
    stop.abort();
    expect((await first).code).toBe("CANCELLED");
    expect(await other).toEqual(hi);
  });

  it("is made again after it was lost", async () => {
    const { connection, count, drop } = await server([echo()]);
    const host = open(connection);
    expect(await ask(host)).toEqual(hi);
    drop();
    await sleep(50);
    expect(await ask(host)).toEqual(hi);
    expect(count.connections).toBe(2);
  });

  it("lost during a command: says that the command may still be running, and goes on with the next", async () => {
    const { connection } = await server([{ command: "make", stdout: "cc\n", cut: true }, echo()]);
    const host = open(connection);
    const error = await errorOf(host.exec(sh`make`));
    expect(error.code).toBe("UNREACHABLE");
    expect(error.message).toMatch(/lost during a command .*may still be running on the host/);
    expect(error.message).toMatch(/Run `pulumi up` again .* then continues\.$/);
    expect(await ask(host)).toEqual(hi);
  });

  it("that carries nothing any more is noticed by missing signs of life", async () => {
    const { connection, port, received } = await server([{ command: "sleep 1000", hang: true }]);
    const relay = await relayTo(port);
    const host = open({ ...connection, port: relay.port }, { keepaliveMs: 100 });
    const running = errorOf(host.exec(sh`sleep 1000`));
    await vi.waitUntil(() => received.length === 1, { timeout: 8_000 });
    relay.freeze();
    const began = Date.now();
    expect((await running).message).toMatch(/lost during a command \(Keepalive timeout\)/);
    // Three missed signs of life, and what a loaded machine adds; without them it would be for ever.
    expect(Date.now() - began).toBeLessThan(5_000);
  });

  it("that carries nothing any more does not delay a time limit for ever", async () => {
    const { connection, port, received } = await server([{ command: "sleep 1000", hang: true }]);
    const relay = await relayTo(port);
    const host = open({ ...connection, port: relay.port }, { keepaliveMs: 1_000 });
    const running = errorOf(host.exec(sh`sleep 1000`, { timeoutMs: 1_500 }));
    await vi.waitUntil(() => received.length === 1, { timeout: 8_000 });
    relay.freeze();
    const error = await running;
    expect(error.code).toBe("TIMEOUT");
    expect(error.message).toContain("could not be ended and may still be running");
  });
});

describe("a host that is starting", () => {
  it("is waited for at the first contact", async () => {
    const port = await unusedPort();
    const first = await server();
    const { hostPrivateKey } = first;
    setTimeout(() => void later(), 1_000);
    let started: ScriptedServer | undefined;
    const later = async () => (started = await server([echo()], { port, hostPrivateKey, anyKey: true }));
    const host = open({ ...first.connection, port }, { bootTimeoutMs: 20_000 });
    expect(await ask(host)).toEqual(hi);
    expect(started?.count.connections).toBe(1);
  });

  it("is given up after bootTimeout", async () => {
    const { connection } = await server();
    const host = open({ ...connection, port: await unusedPort() }, { bootTimeoutMs: 2_500 });
    const began = Date.now();
    expect((await errorOf(ask(host))).code).toBe("UNREACHABLE");
    expect(Date.now() - began).toBeGreaterThan(1_900);
    expect(Date.now() - began).toBeLessThan(9_000);
  });

  it("is not waited for when it shows a wrong key", async () => {
    const { connection } = await server();
    const { connection: other } = await server();
    const began = Date.now();
    await errorOf(ask(open({ ...connection, hostKey: other.hostKey }, { bootTimeoutMs: 20_000 })));
    expect(Date.now() - began).toBeLessThan(9_000);
  });
});

describe("a login whose shell", () => {
  it("greets: that is no part of the output", async () => {
    const { connection } = await server([{ ...echo(), greeting: "Welcome!\n" }]);
    expect(await ask(open(connection))).toEqual(hi);
  });

  it("runs no commands: its own words, and the cure", async () => {
    const stdout = 'Please login as the user "debian" rather than the user "root".\n\n';
    const { connection } = await server([{ command: "echo hi", exitCode: 142, stdout, refused: true }]);
    const error = await errorOf(ask(open(connection)));
    expect(error.code).toBe("CONFIG");
    expect(error.message).toMatch(
      /runs no commands: Please login as the user "debian".* Set user to a login/,
    );
  });
});

describe("a login that is not root", () => {
  const notRoot = { user: "admin" };

  it("runs everything through sudo", async () => {
    const { connection, received } = await server(
      [echo(), reads("/etc/x", "x"), writes("/etc/y", "y")],
      notRoot,
    );
    const host = open(connection);
    await ask(host);
    expect(await host.readFile("/etc/x")).toEqual(Buffer.from("x"));
    await host.writeFile("/etc/y", "y", { mode: 0o644 });
    expect(received.map(({ sudo }) => sudo)).toEqual([true, true, true]);
    expect(received[2]?.stdin.toString()).toBe("y");
  });

  it.each([
    [
      "sudo: a password is required\n",
      /Set sudoPassword, allow sudo without one \(`admin ALL=\(ALL\) NOPASSWD: ALL`/,
    ],
    [
      "sudo: Ein Passwort ist notwendig\n",
      /admin run commands as root: sudo: Ein Passwort ist notwendig\. Set sudo/,
    ],
    [
      "sudo: a terminal is required to read the password; either use the -S option…\nsudo: a password is required\n",
      /-S option…; sudo: a password is required\. Set sudoPassword/,
    ],
    ["admin is not in the sudoers file.\n", /admin may not use sudo: .* file\. Allow it \(`admin ALL=/],
    [
      "bash: line 1: exec: sudo: not found\n",
      /there is no sudo: .*\. Install sudo on the host, or log in as root\.$/,
    ],
  ])("%j is sudo's refusal, in whatever language, with a cure", async (stderr, cure) => {
    const refusal = { command: "echo hi", exitCode: 1, stderr, refused: true };
    const error = await errorOf(ask(open((await server([refusal], notRoot)).connection)));
    expect(error.code).toBe("CONFIG");
    expect(error.message).toMatch(cure);
  });

  it.each([
    ["asks for it", "hunter2"],
    ["does not ask", null],
  ])("gives sudo its password before each command's own input, where sudo %s", async (_, asked) => {
    const { connection, received } = await server([echo(), writes("/etc/y", "y")], {
      ...notRoot,
      sudoPassword: asked,
    });
    const host = open({ ...connection, sudoPassword: new Secret(asked ?? "none asked") });
    expect(await ask(host)).toEqual(hi);
    // Twice, in the same shell, which was given the password once.
    for (let times = 0; times < 2; times++) expect(await host.exec(sh`echo hi`, { reads: true })).toEqual(hi);
    await host.writeFile("/etc/y", "y", { mode: 0o644 });
    expect(received.map(({ sudo, stdin }) => [sudo, stdin.toString()])).toEqual([
      [true, ""],
      [true, ""],
      [true, ""],
      [true, "y"],
    ]);
  });

  it("with a wrong password: nothing else is sent, and the cure is named", async () => {
    const { connection, received, count } = await server([], { ...notRoot, sudoPassword: "hunter2" });
    const host = open({ ...connection, sudoPassword: new Secret("hunter1") });
    const error = await errorOf(host.exec(sh`cryptsetup open`, { stdin: new Secret("key") }));
    expect(error).toMatchObject({ code: "CONFIG" });
    expect(error.message).toMatch(/nicht funktioniert\.; sudo: 1 Fehlversuch\. Correct sudoPassword, /);
    expect(error.message).not.toContain("hunter");
    expect(received).toEqual([]);
    expect((await errorOf(ask(host))).message).toBe(error.message);
    expect(count.channels, "a wrong password is not tried again").toBe(1);
  });
});

describe("commands", () => {
  it("time limit and abort reach the host", async () => {
    const { connection, received } = await server([{ command: "sleep 9", hang: true, repeat: true }]);
    const host = open(connection);
    expect((await errorOf(host.exec(sh`sleep 9`, { timeoutMs: 100 }))).code).toBe("TIMEOUT");
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 100);
    expect((await errorOf(host.exec(sh`sleep 9`, { signal: abort.signal }))).code).toBe("CANCELLED");
    expect(received.map(({ ended }) => ended)).toEqual([true, true]);
  });

  it("a secret goes to stdin and nowhere else", async () => {
    const { connection, received } = await server([{ command: "cryptsetup open" }]);
    await open(connection).exec(sh`cryptsetup open`, { stdin: new Secret("hunter2"), lock: "disk" });
    expect(received).toEqual([
      {
        command: "cryptsetup open",
        locks: ["disk"],
        sudo: false,
        stdin: Buffer.from("hunter2"),
        ended: false,
      },
    ]);
  });

  it("absent is what cat says, nothing else", async () => {
    const { connection } = await server([
      reads("/etc/none"),
      { command: /cat/, exitCode: 1, stderr: "cat: /etc/x: Permission denied\n" },
      { command: /cat/, exitCode: 1, stderr: "bash: cat: /etc/x: No such file or directory of programs\n" },
    ]);
    const host = open(connection);
    expect(await host.readFile("/etc/none")).toBeUndefined();
    expect((await errorOf(host.readFile("/etc/x"))).message).toContain("Permission denied");
    expect((await errorOf(host.readFile("/etc/x"))).code).toBe("UNREADABLE");
  });
});
