/** The two hosts of the end-to-end tests: a lab of their own (NETDISK_LAB names another), so that nobody's demo is disturbed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { labOfLane } from "./lanes";
import { checkout, must, run, start, until, type Ended, type Running } from "./run";

export type HostName = "server" | "client";
export const hosts: readonly HostName[] = ["server", "client"];

export const labName = labOfLane(Number(process.env.VITEST_POOL_ID ?? 1));
const env = { NETDISK_LAB: labName };
const script = join(checkout, "lab/lab");
export const sshConfigOf = (name: string): string => join(checkout, ".lab", name, "ssh_config");
export const sshConfig = sshConfigOf(labName);

export const lab = (...args: string[]): Promise<Ended> => must([script, ...args], { env });

export const ssh = (host: HostName, command: string): string[] => [
  "ssh",
  ...["-F", sshConfig, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"],
  ...["-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"],
  host,
  command,
];

/** Runs a command as root on a host; anything but exit status 0 throws. Returns stdout without the last newline. */
export async function on(host: HostName, command: string, stdin?: string | Buffer): Promise<string> {
  const { stdout } = await must(ssh(host, command), stdin === undefined ? {} : { stdin });
  return stdout.toString().replace(/\n$/, "");
}

/** Like on, but every exit status is an answer. */
export const tryOn = (host: HostName, command: string): Promise<Ended> => run(ssh(host, command));

/** What the command wrote, byte for byte. */
export async function bytesOn(host: HostName, command: string): Promise<Buffer> {
  return (await must(ssh(host, command))).stdout;
}

/** What a test needs on a host and netdisk does not. */
export const install = (host: HostName, ...packages: string[]): Promise<string> =>
  on(
    host,
    `apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${packages.join(" ")} >/dev/null`,
  );

/** Starts a command on a host and leaves it running. */
export const startOn = (host: HostName, command: string): Running => start(ssh(host, command));

/** Whether the disk is mounted and a write gets through to the server: a dead mount stays in place for a while. */
export async function isMounted(path: string): Promise<boolean> {
  const probe = `dd if=/dev/zero of=${path}/.probe bs=4k count=1 conv=fsync status=none`;
  return (await tryOn("client", `mountpoint -q ${path} && ${probe} && mountpoint -q ${path}`)).code === 0;
}

/** Waits until the chain has brought the disk back by itself. */
export async function mounted(path = "/mnt/disk", seconds = 300): Promise<void> {
  await until(`${path} is mounted on the client`, seconds, () => isMounted(path));
}

/** Several hosts lose their power at the same time, and get it back at the same time. */
export async function powerCycle(...victims: HostName[]): Promise<void> {
  await Promise.all(victims.map((host) => lab("power", "cut", host)));
  await Promise.all(victims.map((host) => lab("power", "on", host)));
}

const isOff = async (host: HostName): Promise<boolean> =>
  new RegExp(`^${host} +off$`, "m").test((await run([script, "status"], { env })).output);

/** Boots so far, as its console has them. */
const boots = (host: HostName): number =>
  readFileSync(join(checkout, ".lab", labName, "log", `${host}.log`), "utf8").split("\n=== boot at ").length;

/** A clean shutdown by the host's own systemd, which must not take longer than this; returns the seconds until its kernel ended. */
export async function shutDown(
  host: HostName,
  verb: "poweroff" | "reboot",
  seconds: number,
): Promise<number> {
  const before = boots(host);
  const begun = Date.now();
  // The shutdown may end this very login before it answers.
  await tryOn(host, `systemctl --no-block ${verb}`);
  await until(`the end of ${verb}`, seconds, async () =>
    verb === "reboot" ? boots(host) > before : isOff(host),
  );
  return (Date.now() - begun) / 1000;
}

/** By its own systemd, and until one can log in again. */
export async function rebootServer(): Promise<void> {
  await shutDown("server", "reboot", 120);
  await until("the server is there again", 120, async () => (await tryOn("server", "true")).code === 0);
}

/** Shuts the client down and starts it with this much memory, as `lab/lab --help` has it. */
export async function restartClient(memory: string): Promise<void> {
  await shutDown("client", "poweroff", 120);
  process.env.NETDISK_LAB_MEM = memory;
  try {
    await lab("power", "on", "client");
  } finally {
    delete process.env.NETDISK_LAB_MEM;
  }
}
