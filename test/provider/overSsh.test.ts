/** The provider as it is used: real gRPC on one side, real SSH on the other, a script instead of the host. */
import { afterEach, describe, expect, it } from "vitest";
import { type Connection, hostFingerprints, openHost } from "../../provider/host/open";
import { Provider } from "../../provider/provider";
import { registryOf } from "../../provider/registry";
import { type RunningServer, serve } from "../../provider/wire/server";
import { Secret } from "../../schema/secret";
import { engine, type Engine, type Existing, type Failure, urnOf } from "./client";
import { thing } from "./sandbox";
import { type Exchange, type ScriptedServer, type ServerOptions, startSshServer } from "./sshServer";

const urn = urnOf("testdisk");
const wish = { name: "testdisk", size: "1 GiB" };

const observe = (stdout: string, more: Partial<Exchange> = {}): Exchange => ({
  command: /^if ! test -d \/var\/lib\/netdisk\/things\/\w+; then exit 44; fi/,
  stdout,
  ...more,
});
const debian: Exchange = { command: /^cat \/etc\/os-release/, stdout: "ID=debian\nNAME=Debian\nsystemd\n" };
const absent = observe("", { exitCode: 44 });
const present = observe("size=1 GiB\ncipher=aes\nactive=true\n");
/** Two plans: claim first, then a directory and a size, then activation. */
const claims: Exchange = { command: /^set -e\nif ! test -d \/var\/lib\/netdisk\/claims;/, exitCode: 44 };
const take: Exchange = { command: /^set -e\nmkdir -p -- \/var\/lib\/netdisk\/claims\/thing\/testdisk\n/ };
const release: Exchange = { command: /^set -e\ncd \/var\/lib\/netdisk\/claims\/thing\/testdisk [^]*rmdir/ };
const makeDirectory: Exchange = { command: /^mkdir -p \/var\/lib\/netdisk\/things\/testdisk/ };
const writeSize: Exchange = { command: "printf %s '1 GiB' >/var/lib/netdisk/things/testdisk/size" };

let ssh: ScriptedServer;
let server: RunningServer;
let client: Engine;
let provider: Provider;
afterEach(async () => {
  client.client.close();
  server.close();
  await provider.close();
  await ssh.close();
});

const start = (...script: Exchange[]): Promise<Engine> => startAs({}, {}, ...script);

async function startAs(
  options: ServerOptions,
  configuration: Partial<Connection>,
  ...script: Exchange[]
): Promise<Engine> {
  ssh = await startSshServer(script, options);
  provider = new Provider(
    registryOf([thing]),
    { openHost, hostFingerprints },
    { say: () => {}, attach: () => {} },
  );
  server = await serve(provider, { version: "1.2.3", schemaFile: "" });
  client = engine(server.port);
  await client.configure({ role: "server", ...ssh.connection, ...configuration });
  return client;
}

const known: Existing = {
  id: "thing/testdisk",
  inputs: { ...wish, cipher: "aes", labels: [], active: true, claimed: true },
  outputs: { ...wish, cipher: "aes", labels: [], active: true, claimed: true, claim: "n", path: "/" },
};

describe("over SSH", () => {
  it("uses one connection for everything, and takes the thing's lock for the claim and each step", async () => {
    const provide = await start(debian, take, absent, makeDirectory, writeSize, present);
    const { inputs } = await provide.check(urn, wish);
    const { outputs } = await provide.create(urn, inputs);
    expect(outputs).toMatchObject({ size: "1 GiB", active: true });
    ssh.done();
    expect(ssh.count.connections).toBe(1);
    expect(ssh.received.map(({ locks }) => locks)).toEqual([
      [],
      ["thing.testdisk"],
      [],
      ["thing.testdisk"],
      ["thing.testdisk"],
      [],
    ]);
    expect(JSON.parse(ssh.received[1]!.stdin.toString())).toMatchObject({
      project: "home",
      stack: "lab",
      urn,
      inputs: { name: "testdisk", size: "1 GiB" },
    });
  });

  it("reads with two round trips, at the same time", async () => {
    const provide = await start({ ...claims, delayMs: 200 }, { ...present, delayMs: 200 });
    const { outputs } = await provide.read(urn, known);
    // Nobody has a claim any more: that is drift, not absence.
    expect(outputs).toMatchObject({ size: "1 GiB", claimed: false });
    expect(ssh.count).toMatchObject({ connections: 1, channels: 2, channelsAtOnce: 2 });
  });

  it("keeps what a lost connection interrupted, with what was there when it came back", async () => {
    const halfMade = observe("cipher=aes\n");
    const provide = await start(debian, take, absent, makeDirectory, { ...writeSize, cut: true }, halfMade);
    const { inputs } = await provide.check(urn, wish);
    const failure = (await provide.create(urn, inputs).catch((error: unknown) => error)) as Failure;
    expect(failure.initFailed).toMatchObject({
      id: "thing/testdisk",
      outputs: { active: false, claimed: true },
    });
    expect(failure.initFailed!.reasons[0]).toMatch(
      /^UNREACHABLE: .*the connection was lost .*Run `pulumi up` again .* then continues\.$/,
    );
    expect(ssh.count.connections).toBe(2);
  });

  it("falls back to what was last known when the host stays away", async () => {
    const provide = await start(debian, take, observe("size=1 GiB\ncipher=aes\nlabels=\nactive=true\n"));
    const { inputs } = await provide.check(urn, { ...wish, labels: ["x"] });
    ssh.script({ command: /labels$/, cut: true });
    const update = provide.update(urn, known, inputs).catch((error: unknown) => error);
    await expect.poll(() => ssh.received.length, { timeout: 5000 }).toBe(4);
    await ssh.close();
    expect(((await update) as Failure).initFailed?.outputs).toMatchObject({
      size: "1 GiB",
      active: true,
      labels: [],
    });
  });

  it("says nothing of a host's that controls the operator's terminal", async () => {
    const stderr = "\x1b]52;c;cm0gLXJmIC8=\x07\x1b[1A\x1b[2K<{%fg 2%}>ERASED";
    const provide = await start(
      ...[debian, take, absent, { ...makeDirectory, stderr, exitCode: 1 }, absent, release],
    );
    const { inputs } = await provide.check(urn, wish);
    const failure = (await provide.create(urn, inputs).catch((error: unknown) => error)) as Failure;
    const shown = "\ufffd]52;c;cm0gLXJmIC8=\ufffd\ufffd[1A\ufffd[2K<{ %fg 2%}>ERASED";
    expect(failure.message).toContain(shown);
    expect(failure.initFailed?.reasons[0] ?? failure.message).toContain(shown);
  });

  it("masks the configuration's secrets, too, in whatever a login shell says", async () => {
    const provide = await startAs(
      { user: "admin", sudoPassword: "hunter2", echoes: true },
      { sudoPassword: new Secret("hunter2") },
    );
    const failure = (await provide.read(urn, known).catch((error: unknown) => error)) as Failure;
    expect(failure.message).toMatch(/does not let admin run commands as root: \*\*\*\. Correct sudoPassword/);
  });

  it("says what to do about a host that cannot be reached, and state stays", async () => {
    const provide = await start();
    await ssh.close();
    const failure = (await provide.read(urn, known).catch((error: unknown) => error)) as Failure;
    expect(failure.initFailed).toBeUndefined();
    expect(failure.message).toMatch(
      /^UNREACHABLE: 127\.0\.0\.1.*cannot be reached.*NETDISK_HOST_GONE=SHA256:\S+ to give up what was on it\.$/,
    );
    // The state has nothing of what was to be made.
    const { inputs } = await provide.check(urn, wish);
    const first = (await provide.create(urn, inputs).catch((error: unknown) => error)) as Failure;
    expect(first.message).toMatch(
      /^UNREACHABLE: 127\.0\.0\.1.*cannot be reached.* set another host, port or user, and run `pulumi up` again\.$/,
    );
  });

  it("ends a preview of a host that hangs within ten seconds", async () => {
    const provide = await start(debian, { ...claims, hang: true }, observe("", { hang: true }));
    const { inputs } = await provide.check(urn, wish);
    const begin = Date.now();
    await provide.create(urn, inputs, true);
    expect(Date.now() - begin).toBeLessThan(10_500);
  });

  it.each([
    ["answers", {}, [{ command: "true" }], "answers with its pinned key, and"],
    ["refuses the login", { refuseAll: true }, [], "refuses the login of root.*, and"],
    ["loses the connection", {}, [{ command: "true", cut: true }], "the connection was lost.*, and"],
  ] satisfies [string, ServerOptions, Exchange[], string][])(
    "gives up a host by its fingerprint, but none that %s",
    async (_what, options, script, found) => {
      const provide = await startAs(options, {}, ...script);
      const [fingerprint] = await hostFingerprints(ssh.connection);
      process.env.NETDISK_HOST_GONE = fingerprint;
      try {
        for (const act of [provide.read, provide.delete]) {
          const failure = (await act(urn, known).catch((error: unknown) => error)) as Failure;
          expect(failure.message).toMatch(
            new RegExp(`^CONFIG: .*${found} NETDISK_HOST_GONE=SHA256:.*switch it off first\\.$`),
          );
        }
        await ssh.close();
        await provide.configure({ role: "server", ...ssh.connection });
        expect((await provide.read(urn, known)).id).toBe("");
        await provide.delete(urn, known);
      } finally {
        delete process.env.NETDISK_HOST_GONE;
      }
    },
  );

  it("deletes: look, remove, look, release", async () => {
    const removal = { command: "rm -r /var/lib/netdisk/things/testdisk" };
    const provide = await start(claims, present, removal, { ...absent }, release);
    await provide.delete(urn, known);
    expect(ssh.received.map(({ command }) => command)).toEqual(
      [claims, present, removal, absent, release].map((step) =>
        typeof step.command === "string" ? step.command : (expect.stringMatching(step.command) as unknown),
      ),
    );
    ssh.done();
  });
});
