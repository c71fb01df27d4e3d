/** What can go wrong between here and a command, each with its words: scripted servers, real sockets. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NetdiskError } from "../../provider/errors";
import type { Host } from "../../provider/host/host";
import { hostFingerprints, openHost, type Connection } from "../../provider/host/open";
import { sh } from "../../provider/host/sh";
import { Secret } from "../../schema/secret";
import { sshdMissing, startSshd } from "./sshd";
import { startRelay, type Relay } from "./relay";
import {
  reads,
  startSshServer,
  writes,
  type Exchange,
  type ScriptedServer,
  type ServerOptions,
} from "./sshServer";

let directory: string;
let ending: (() => unknown)[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "netdisk-ssh-"));
  ending = [() => rmSync(directory, { recursive: true })];
});
afterEach(async () => {
  for (const end of ending.reverse()) await end();
});

const at = (name: string) => join(directory, name);

async function server(exchanges: Exchange[] = [], options?: ServerOptions): Promise<ScriptedServer> {
  const started = await startSshServer(exchanges, options);
  ending.push(() => started.close());
  return started;
}

async function relayTo(port: number): Promise<Relay> {
  const relay = await startRelay(port);
  ending.push(() => relay.close());
  return relay;
}

function open(connection: Connection, options: { bootTimeoutMs?: number; keepaliveMs?: number } = {}): Host {
  const host = openHost(connection, { bootTimeoutMs: 0, ...options });
  ending.push(() => host.close());
  return host;
}

async function unusedPort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  return port;
}

async function errorOf(promise: Promise<unknown>): Promise<NetdiskError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof NetdiskError)) throw new Error(`no NetdiskError: ${String(error)}`);
  return error;
}

const echo = (repeat = true): Exchange => ({ command: "echo hi", stdout: "hi\n", repeat });
const hi = { exitCode: 0, stdout: "hi\n", stderr: "" };
const ask = (host: Host) => host.exec(sh`echo hi`);

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
    expect(error.message).toMatch(/pulumi up --refresh --run-program.*NETDISK_HOST_GONE=SHA256:\S{43}/);
    expect(await ask(host)).toEqual(hi);
  });

  it("that carries nothing any more is noticed by missing signs of life", async () => {
    const { connection, port } = await server([{ command: "sleep 1000", hang: true }]);
    const relay = await relayTo(port);
    const host = open({ ...connection, port: relay.port }, { keepaliveMs: 100 });
    const running = errorOf(host.exec(sh`sleep 1000`));
    await sleep(300);
    relay.freeze();
    const began = Date.now();
    expect((await running).message).toMatch(/lost during a command \(Keepalive timeout\)/);
    expect(Date.now() - began).toBeLessThan(2_000);
  });

  it("that carries nothing any more does not delay a time limit for ever", async () => {
    const { connection, port } = await server([{ command: "sleep 1000", hang: true }]);
    const relay = await relayTo(port);
    const host = open({ ...connection, port: relay.port }, { keepaliveMs: 1_000 });
    const running = errorOf(host.exec(sh`sleep 1000`, { timeoutMs: 500 }));
    await sleep(300);
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
    expect(Date.now() - began).toBeLessThan(4_000);
  });

  it("is not waited for when it shows a wrong key", async () => {
    const { connection } = await server();
    const { connection: other } = await server();
    const began = Date.now();
    await errorOf(ask(open({ ...connection, hostKey: other.hostKey }, { bootTimeoutMs: 20_000 })));
    expect(Date.now() - began).toBeLessThan(2_000);
  });
});

describe("the error of a host that cannot be reached names host, address, cause and both cures", () => {
  const ending = (fingerprint: string) =>
    ` If its address, user or key has changed, set the new one and run \`pulumi up --refresh --run-program\`; ` +
    `if the host no longer exists, set NETDISK_HOST_GONE=${fingerprint} to give up what was on it.`;

  it("refused", async () => {
    const { connection } = await server();
    const port = await unusedPort();
    const error = await errorOf(ask(open({ ...connection, port })));
    const [fingerprint = ""] = await hostFingerprints(connection);
    expect(error.code).toBe("UNREACHABLE");
    expect(error.message).toBe(
      `127.0.0.1 (root@127.0.0.1:${port}) cannot be reached: 127.0.0.1:${port} refuses connections: sshd does not run there.` +
        ending(fingerprint),
    );
  });

  it("a name without address", async () => {
    const { connection } = await server();
    const error = await errorOf(ask(open({ ...connection, host: "no-such-host.invalid" })));
    expect(error.message).toMatch(/the name no-such-host\.invalid has no address \((ENOTFOUND|EAI_AGAIN)\)/);
  });

  it("no answer within 10 s, and how far it came", { timeout: 20_000 }, async () => {
    const { connection } = await server();
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const began = Date.now();
    const error = await errorOf(ask(open({ ...connection, port })));
    silent.close();
    expect(error.message).toContain("it did not answer within 10 s (connected, no SSH greeting)");
    expect(Date.now() - began).toBeLessThan(11_500);
  });

  it("something that is no SSH server", async () => {
    const { connection } = await server();
    const web = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(
      0,
      "127.0.0.1",
    );
    await once(web, "listening");
    const error = await errorOf(ask(open({ ...connection, port: (web.address() as AddressInfo).port })));
    web.close();
    expect(error.code).toBe("UNREACHABLE");
  });

  it("another host key than the pinned one: both fingerprints", async () => {
    const { connection } = await server();
    const { connection: other } = await server();
    const error = await errorOf(ask(open({ ...connection, hostKey: other.hostKey })));
    const [shown = ""] = await hostFingerprints(connection);
    const [pinned = ""] = await hostFingerprints(other);
    expect(error.message).toContain(
      `it shows the host key ${shown} (ssh-ed25519), but hostKey has ${pinned} (ssh-ed25519): this may be another machine`,
    );
    expect(error.message).toContain(ending(pinned));
  });

  it("no known key: the fingerprint shown, and how to make it known", async () => {
    const { connection, port } = await server();
    writeFileSync(at("known_hosts"), "");
    writeFileSync(at("config"), `UserKnownHostsFile ${at("known_hosts")}\nGlobalKnownHostsFile none\n`);
    const error = await errorOf(ask(open({ ...connection, hostKey: undefined, sshConfig: at("config") })));
    const [shown = ""] = await hostFingerprints(connection);
    expect(error.message).toContain(
      `its host key ${shown} (ssh-ed25519) is not known: no entry for [127.0.0.1]:${port} in ${at("known_hosts")}`,
    );
    expect(error.message).toContain(`ssh-keyscan -p ${port} 127.0.0.1 >> ~/.ssh/known_hosts`);
    expect(error.message).toContain(`or set hostKey to \`${connection.hostKey}\``);
  });

  it("no key of the known kind", async () => {
    const { connection } = await server();
    const hostKey = generate("ecdsa");
    const error = await errorOf(ask(open({ ...connection, hostKey })));
    expect(error.message).toContain("no host key of the kind that is known (ecdsa-sha2-nistp256 in hostKey)");
  });

  it("a login that is refused: what was tried", async () => {
    const { connection } = await server([], { refuseAll: true });
    expect((await errorOf(ask(open(connection)))).message).toMatch(
      /it refuses the login of root; tried: privateKey\. Add one of these keys to ~root\/\.ssh\/authorized_keys/,
    );
  });
});

/** A new key pair at `name`; returns the public line. */
function generate(type: string, name = type, passphrase = ""): string {
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-C", "", "-f", at(name)]);
  return execFileSync("ssh-keygen", ["-y", "-P", passphrase, "-f", at(name)], { encoding: "utf8" }).trim();
}

describe("host keys from known_hosts", () => {
  const configure = (lines: string, config = "") => {
    writeFileSync(at("known_hosts"), lines);
    writeFileSync(
      at("config"),
      `UserKnownHostsFile ${at("known_hosts")}\nGlobalKnownHostsFile none\n${config}`,
    );
    return { hostKey: undefined, sshConfig: at("config") };
  };

  it("plain, hashed, by alias, and beside a key of another kind", async () => {
    const { connection, port } = await server([echo()]);
    const name = `[127.0.0.1]:${port}`;
    const line = `${name} ${connection.hostKey}\n`;
    expect(await ask(open({ ...connection, ...configure(line) }))).toEqual(hi);

    configure(line);
    execFileSync("ssh-keygen", ["-H", "-f", at("known_hosts")], { stdio: "ignore" });
    const hashed = { ...connection, hostKey: undefined, sshConfig: at("config") };
    expect(await ask(open(hashed))).toEqual(hi);
    expect(await hostFingerprints(hashed)).toEqual(await hostFingerprints(connection));

    const alias = configure(`backup ${connection.hostKey}\n`, "HostKeyAlias backup\n");
    expect(await ask(open({ ...connection, ...alias }))).toEqual(hi);

    const two = configure(`${name} ${generate("ecdsa")}\n${line}`);
    expect(await ask(open({ ...connection, ...two }))).toEqual(hi);
  });

  it("revoked", async () => {
    const { connection, port } = await server([echo()]);
    const line = `[127.0.0.1]:${port} ${connection.hostKey}\n`;
    const revoked = configure(`${line}@revoked ${line}`);
    expect((await errorOf(ask(open({ ...connection, ...revoked })))).message).toContain("is not known");
  });
});

describe("authentication", () => {
  it("by a file of the ssh configuration, and by one of the provider's", async () => {
    const key = generate("ed25519", "id");
    const { connection } = await server([echo()], { clientPublicKey: key });
    writeFileSync(at("config"), `IdentityFile ${at("%r-none")}\nIdentityFile ${at("id")}\n`);
    const fromConfig = { ...connection, privateKey: undefined, sshConfig: at("config") };
    expect(await ask(open(fromConfig))).toEqual(hi);
    expect(await ask(open({ ...connection, privateKey: undefined, identityFile: at("id") }))).toEqual(hi);
  });

  it("by RSA keys of host and user", async () => {
    generate("rsa", "host");
    const { connection } = await server([echo()], {
      hostPrivateKey: execFileSync("cat", [at("host")], { encoding: "utf8" }),
      clientPublicKey: generate("rsa", "id"),
    });
    expect(await ask(open({ ...connection, privateKey: undefined, identityFile: at("id") }))).toEqual(hi);
  });

  it("an encrypted file needs the agent, which is then asked for just this key", async () => {
    const key = generate("ed25519", "id", "secret");
    const { connection } = await server([echo()], { clientPublicKey: key });
    const config = (agent: string) => {
      writeFileSync(at("config"), `IdentityAgent ${agent}\n`);
      return { ...connection, privateKey: undefined, identityFile: at("id"), sshConfig: at("config") };
    };
    const error = await errorOf(ask(open(config("none"))));
    expect(error.message).toContain(
      `tried: ${at("id")} (encrypted). Put the encrypted key into the agent: \`ssh-add ${at("id")}\`.`,
    );

    const agent = spawn("ssh-agent", ["-D", "-a", at("agent")], { stdio: "ignore" });
    ending.push(() => agent.kill());
    while (!existsSync(at("agent"))) await sleep(20);
    const env = { ...process.env, SSH_AUTH_SOCK: at("agent") };
    generate("ed25519", "other");
    execFileSync("ssh-add", ["-q", at("other")], { env, stdio: "ignore" });
    expect((await errorOf(ask(open(config(at("agent")))))).message).toContain(
      `agent ${at("agent")} (0 of its 1 keys)`,
    );
    writeFileSync(at("askpass"), "#!/bin/sh\necho secret\n", { mode: 0o755 });
    const asking = { ...env, SSH_ASKPASS: at("askpass"), SSH_ASKPASS_REQUIRE: "force" };
    execFileSync("ssh-add", ["-q", at("id")], { env: asking, stdio: "ignore" });
    expect(await ask(open(config(at("agent"))))).toEqual(hi);
  });

  it("mistakes in the configuration are named before anything is dialled, and show no key", async () => {
    const { connection, count } = await server();
    const bad = await errorOf(ask(open({ ...connection, privateKey: new Secret("hunter2 no key") })));
    expect(bad).toMatchObject({
      code: "CONFIG",
      message: expect.stringContaining("privateKey cannot be used") as string,
    });
    expect(bad.message).not.toContain("hunter2");
    const missing = { ...connection, privateKey: undefined, identityFile: at("none") };
    expect(await errorOf(ask(open(missing)))).toMatchObject({ code: "CONFIG" });
    expect(await errorOf(ask(open({ ...connection, hostKey: "ssh-ed25519 AAAA" })))).toMatchObject({
      code: "CONFIG",
    });
    expect(await errorOf(ask(open({ ...connection, host: undefined })))).toMatchObject({ code: "CONFIG" });
    expect(await errorOf(ask(open({ ...connection, sshConfig: at("none") })))).toMatchObject({
      code: "CONFIG",
    });
    expect(count.connections).toBe(0);
  });
});

describe("ProxyCommand", () => {
  const relayScript = `const s = require("net").connect(+process.argv[2], process.argv[1]); process.stdin.pipe(s).pipe(process.stdout)`;

  it("is the way to the host, with its tokens filled in, and ends with the connection", async () => {
    const { connection, count } = await server([echo()]);
    writeFileSync(at("relay.js"), relayScript.replace("argv[2]", "argv[3]").replace("argv[1]", "argv[2]"));
    writeFileSync(
      at("config"),
      `Host behind\n  HostName 127.0.0.1\n  ProxyCommand ${process.execPath} ${at("relay.js")} %h %p\n`,
    );
    const host = openHost({ ...connection, host: "behind", sshConfig: at("config") }, { bootTimeoutMs: 0 });
    expect(await ask(host)).toEqual(hi);
    expect(host.label).toBe(`behind (root@127.0.0.1:${connection.port})`);
    expect(count.connections).toBe(1);
    await host.close();
    await sleep(700);
    const left = execFileSync("sh", ["-c", `ps ax -o args | grep -c '[r]elay.js ' || true`], {
      encoding: "utf8",
    });
    expect(left.trim()).toBe("0");
  });

  it("that fails: its own words", async () => {
    const { connection } = await server();
    writeFileSync(at("config"), `ProxyCommand sh -c 'echo the gate is shut >&2; exit 9'\n`);
    const error = await errorOf(ask(open({ ...connection, sshConfig: at("config") })));
    expect(error.message).toMatch(
      /cannot be reached: ProxyCommand `.*`: the gate is shut; ended with status 9\./,
    );
  });
});

describe.skipIf(sshdMissing() !== undefined)("ProxyJump", () => {
  it("goes through the local OpenSSH and a real sshd", async () => {
    const { connection } = await server([echo()]);
    const jump = await startSshd();
    ending.push(() => jump.close());
    writeFileSync(at("known_hosts"), `[127.0.0.1]:${jump.port} ${jump.connection.hostKey}\n`);
    writeFileSync(
      at("config"),
      `UserKnownHostsFile ${at("known_hosts")}\nHost gate\n  HostName 127.0.0.1\n  Port ${jump.port}\n` +
        `  IdentityFile ${jump.connection.identityFile}\nHost behind\n  HostName 127.0.0.1\n  ProxyJump gate\n`,
    );
    expect(await ask(open({ ...connection, host: "behind", sshConfig: at("config") }))).toEqual(hi);
    writeFileSync(at("known_hosts"), "");
    const refused = await errorOf(ask(open({ ...connection, host: "behind", sshConfig: at("config") })));
    expect(refused.message).toMatch(/ProxyCommand `.*ssh.*gate.*`: .*Host key verification failed/s);
  });
});

describe("without OpenSSH on this machine", () => {
  it("explicit values suffice; an error says what was missing", async () => {
    const { connection } = await server([echo()]);
    const path = process.env.PATH;
    process.env.PATH = directory;
    ending.push(() => (process.env.PATH = path));
    expect(await ask(open(connection))).toEqual(hi);
    const error = await errorOf(ask(open({ ...connection, hostKey: undefined })));
    expect(error.message).toMatch(/is not known.*ssh was not found on this machine, so no ssh_config/);
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
    ["sudo: a password is required\n", "NOPASSWD"],
    [
      "sudo: a terminal is required to read the password; either use the -S option…\nsudo: a password is required\n",
      "NOPASSWD",
    ],
    ["admin is not in the sudoers file.\n", "NOPASSWD"],
    ["bash: line 1: exec: sudo: not found\n", "Install sudo"],
  ])("%j is sudo's refusal, with a cure", async (stderr, cure) => {
    const { connection } = await server([{ command: "echo hi", exitCode: 1, stderr }], notRoot);
    const error = await errorOf(ask(open(connection)));
    expect(error.code).toBe("CONFIG");
    expect(error.message).toContain(cure);
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
