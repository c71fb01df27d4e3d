/** What the ssh*.test.ts files share: each test has a directory of its own, and ends all that it started. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { NetdiskError } from "../../provider/errors";
import type { Host } from "../../provider/host/host";
import { openHost, type Connection } from "../../provider/host/open";
import { sh } from "../../provider/host/sh";
import { startRelay, type Relay } from "./relay";
import { startSshServer, type Exchange, type ScriptedServer, type ServerOptions } from "./sshServer";

let directory: string;
let ending: (() => unknown)[];

/** Runs `end` when the test is over. */
export const afterwards = (end: () => unknown): unknown => ending.push(end);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "netdisk-ssh-"));
  ending = [() => rmSync(directory, { recursive: true })];
});
afterEach(async () => {
  for (const end of ending.reverse()) await end();
});

export const at = (name: string) => join(directory, name);

export async function server(exchanges: Exchange[] = [], options?: ServerOptions): Promise<ScriptedServer> {
  const started = await startSshServer(exchanges, options);
  ending.push(() => started.close());
  return started;
}

export async function relayTo(port: number): Promise<Relay> {
  const relay = await startRelay(port);
  ending.push(() => relay.close());
  return relay;
}

export function open(
  connection: Connection,
  options: { bootTimeoutMs?: number; keepaliveMs?: number } = {},
): Host {
  const host = openHost(connection, { bootTimeoutMs: 0, ...options });
  ending.push(() => host.close());
  return host;
}

export async function unusedPort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  return port;
}

export async function errorOf(promise: Promise<unknown>): Promise<NetdiskError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof NetdiskError)) throw new Error(`no NetdiskError: ${String(error)}`);
  return error;
}

export const echo = (repeat = true): Exchange => ({ command: "echo hi", stdout: "hi\n", repeat });
export const hi = { exitCode: 0, stdout: "hi\n", stderr: "" };
export const ask = (host: Host) => host.exec(sh`echo hi`);

/** A new key pair at `name`; returns the public line. */
export function generate(type: string, name = type, passphrase = ""): string {
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-C", "", "-f", at(name)]);
  return execFileSync("ssh-keygen", ["-y", "-P", passphrase, "-f", at(name)], { encoding: "utf8" }).trim();
}
