/** The process that the engine starts: provider/pulumi-resource-netdisk, as built by set-up. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { afterEach, expect, it } from "vitest";
import { urnOf, engine } from "./client";

const root = join(__dirname, "../..");
const launcher = join(root, "provider/pulumi-resource-netdisk");
const children: ChildProcess[] = [];
afterEach(() => children.splice(0).forEach((child) => child.kill("SIGKILL")));

interface Started {
  child: ChildProcess;
  port: number;
  exit: Promise<number | null>;
}

function start(command = launcher, args: string[] = ["127.0.0.1:1"]): Promise<Started> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const exit = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
  return new Promise((resolve, reject) => {
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout.once("data", (chunk: Buffer) =>
      resolve({ child, exit, port: Number(chunk.toString().split("\n")[0]) }),
    );
    void exit.then((code) => reject(new Error(`exit ${code}: ${stderr}`)));
  });
}

it("prints the port as the first line and answers what the engine asks first", async () => {
  const { port } = await start();
  const client = engine(port);
  expect((await client.handshake()).getAcceptSecrets()).toBe(true);
  expect((await client.pluginInfo()).getVersion()).toMatch(/^\d+\.\d+\.\d+/);
  expect(JSON.parse((await client.schema()).getSchema())).toMatchObject({ name: "netdisk" });
  const configured = await client.configure({ role: "client", connection: "local" });
  expect([configured.getAcceptsecrets(), configured.getSupportspreview()]).toEqual([true, true]);
  await expect(client.check(urnOf("x", { type: "netdisk:index:Nothing" }), {})).rejects.toThrow(
    /"netdisk:index:Nothing" is no resource type/,
  );
  client.client.close();
});

it("loads neither the SDK's root nor ssh2 before it is needed", async () => {
  const script = `process.argv[2] = "127.0.0.1:1"; require(${JSON.stringify(join(root, "dist/provider/main.js"))});
    setTimeout(() => { console.error(Object.keys(require.cache).join("\\n")); process.exit(0) }, 500)`;
  const child = spawn("node", ["-e", script], { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let loaded = "";
  child.stderr.on("data", (chunk: Buffer) => (loaded += chunk.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  expect(loaded).toContain("dist/provider/wire/server.js");
  expect(loaded).not.toMatch(/node_modules\/@pulumi\/pulumi\/(index|output|resource)\.js/);
  expect(loaded).not.toMatch(/node_modules\/ssh2\//);
});

it("exits on SIGINT at once when nothing is in flight", async () => {
  const { child, exit } = await start();
  const begin = Date.now();
  child.kill("SIGINT");
  expect(await exit).toBe(0);
  expect(Date.now() - begin).toBeLessThan(4000);
});

it("does not outlive the engine", async () => {
  // A shell in the engine's place starts the provider, says its process id, and is killed.
  const shell = spawn("sh", ["-c", `"${launcher}" 127.0.0.1:1 & echo "pid $!"; wait`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(shell);
  let said = "";
  shell.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await expect.poll(() => /pid \d+\n[^]*?\d+\n|\d+\n[^]*pid \d+\n/.test(said), { timeout: 5000 }).toBe(true);
  const pid = Number(/pid (\d+)/.exec(said)?.[1]);
  const alive = () => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  expect(alive()).toBe(true);
  shell.kill("SIGKILL");
  await expect.poll(alive, { timeout: 5000 }).toBe(false);
});

it("talks to the engine whose address it was given", async () => {
  const said: string[] = [];
  const server = new Server();
  const log = (call: { request: { getMessage(): string } }, done: (error: null) => void) => {
    said.push(call.request.getMessage());
    done(null);
  };
  server.addService(EngineService, {
    ...Object.fromEntries(Object.keys(EngineService).map((method) => [method, () => {}])),
    log,
  });
  const address = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  const { engineLog } = await import("../../provider/wire/engine");
  const sink = engineLog("127.0.0.1:1");
  sink.attach(`127.0.0.1:${address}`);
  sink.say("urn", "make (14 s): CC", { ephemeral: true });
  await expect.poll(() => said).toEqual(["make (14 s): CC"]);
  server.forceShutdown();
});

it("says what to do when it is not built", async () => {
  const folder = mkdtempSync(join(tmpdir(), "netdisk-unbuilt-"));
  mkdirSync(join(folder, "provider"));
  const copy = join(folder, "provider/pulumi-resource-netdisk");
  cpSync(launcher, copy);
  await expect(start(copy)).rejects.toThrow(
    `exit 1: netdisk: ${folder} is not built: run 'npm install' in ${folder}.`,
  );
  rmSync(folder, { recursive: true });
});

it("takes messages far beyond gRPC's default of 4 MiB", async () => {
  const { port } = await start();
  const client = engine(port);
  const { failures } = await client.checkConfig({
    role: "client",
    connection: "local",
    privateKey: "x".repeat(6_000_000),
  });
  expect(failures).toEqual([]);
  client.client.close();
});
