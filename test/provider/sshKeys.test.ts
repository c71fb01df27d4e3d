/** Whose key is trusted, which keys are tried, and the ways through other machines. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { hostFingerprints, openHost } from "../../provider/host/open";
import { Secret } from "../../schema/secret";
import { sshdMissing, startSshd } from "./sshd";
import { afterwards, ask, at, echo, errorOf, generate, hi, open, server } from "./sshFixture";

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
      `tried: ${at("id")} (encrypted). Put the encrypted key into the agent (\`ssh-add ${at("id")}\`), or set keyPassphrase.`,
    );

    const agent = spawn("ssh-agent", ["-D", "-a", at("agent")], { stdio: "ignore" });
    afterwards(() => agent.kill());
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

  it("an encrypted key is opened by keyPassphrase, from a file as from the configuration", async () => {
    const key = generate("ed25519", "id", "hunter2");
    const { connection } = await server([echo()], { clientPublicKey: key });
    const keyPassphrase = new Secret("hunter2");
    const file = { ...connection, privateKey: undefined, identityFile: at("id") };
    expect(await ask(open({ ...file, keyPassphrase }))).toEqual(hi);
    const privateKey = new Secret(readFileSync(at("id"), "utf8"));
    expect(await ask(open({ ...connection, privateKey, keyPassphrase }))).toEqual(hi);

    const wrong = { keyPassphrase: new Secret("hunter1") };
    const error = await errorOf(ask(open({ ...file, ...wrong })));
    expect(error.message).toContain(`${at("id")} (encrypted, and not with keyPassphrase)`);
    const config = await errorOf(ask(open({ ...connection, privateKey, ...wrong })));
    expect(config).toMatchObject({ code: "CONFIG" });
    expect(`${error.message}${config.message}`).not.toContain("hunter");
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
    afterwards(() => jump.close());
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
    process.env.PATH = at("nothing");
    afterwards(() => (process.env.PATH = path));
    expect(await ask(open(connection))).toEqual(hi);
    const error = await errorOf(ask(open({ ...connection, hostKey: undefined })));
    expect(error.message).toMatch(/is not known.*ssh was not found on this machine, so no ssh_config/);
  });
});
