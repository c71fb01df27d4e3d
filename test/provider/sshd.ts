/** A real sshd on a free port of 127.0.0.1, with keys of its own, for as long as a test file runs. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "../../provider/host/open";

const isRoot = process.getuid?.() === 0;

/** Why there can be none on this machine; undefined if there can. */
export const sshdMissing = (): string | undefined =>
  isRoot ? undefined : "needs root: the tests write files of other owners";

/** Runs it with the arguments that it gets, wherever it is (tools/setup has seen to it before). */
export const sshdProgram = join(__dirname, "../../tools/sshd");

export interface Sshd {
  port: number;
  directory: string;
  connection: Connection & { hostKey: string };
  close(): void;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function startSshd(): Promise<Sshd> {
  const directory = mkdtempSync(join(tmpdir(), "netdisk-sshd-"));
  const file = (name: string) => join(directory, name);
  for (const key of ["host", "id"])
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file(key)]);
  writeFileSync(file("authorized_keys"), readFileSync(file("id.pub")));
  const port = await freePort();
  writeFileSync(
    file("sshd_config"),
    `ListenAddress 127.0.0.1
Port ${port}
HostKey ${file("host")}
AuthorizedKeysFile ${file("authorized_keys")}
StrictModes no
PidFile none
UsePAM no
# bash reads ~/.bashrc for a command by SSH unless it is nested: the developer's settings take no part, and no time.
SetEnv SHLVL=2
PermitRootLogin prohibit-password
`,
  );
  const child = spawn(sshdProgram, ["-D", "-e", "-f", file("sshd_config")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  for (let tries = 0; !said.includes("Server listening"); tries++) {
    if (child.exitCode !== null || tries > 100) throw new Error(`sshd does not start: ${said}`);
    await sleep(50);
  }
  return {
    port,
    directory,
    connection: {
      connection: "ssh",
      host: "127.0.0.1",
      port,
      user: userInfo().username,
      sshConfig: "/dev/null",
      identityFile: file("id"),
      hostKey: readFileSync(file("host.pub"), "utf8").trim(),
    },
    close() {
      child.kill();
      rmSync(directory, { recursive: true });
    },
  };
}
