/** A Pulumi project of its own, with its own state and home, over this checkout's compiled code. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { sh } from "../../../provider/host/sh";
import type { StackFile } from "../../../schema/stack";
import { labName, ssh, sshConfig, sshConfigOf, type HostName } from "./lab";
import { baseName } from "./lanes";
import { checkout, must, run, start, type Ended, type RunOptions, type Running } from "./run";

// Below the checkout: Node finds the checkout's packages from there.
export const projectDir = join(checkout, ".lab", `${labName}-project`);
/** As lab/lib/machine.sh has it. */
export const cache = resolve(checkout, process.env.NETDISK_CACHE || ".cache");

/** Where a run notes each step (NETDISK_TRACE). */
export const traceFile = join(projectDir, "trace");

export const passphrase = "end-to-end tests' recovery passphrase";
export const stack = "e2e";

export type Disk = StackFile["disks"][string];

/** The article's way to the server; what a disk has that says nothing stands beside it where a suite needs one. */
export const testdisk = {
  file: { size: "512 MiB" },
  mount: { path: "/mnt/disk" },
  transport: "forward",
} satisfies Disk;

export const config = {
  server: { host: "server", sshConfig, endpoint: "10.77.0.2:22" },
  client: { host: "client", sshConfig, nbd: { repository: "git://git.lab/nbd.git", ref: "nbd-3.26.1" } },
};

/** The engine with a home and a backend of its own in a directory. */
export const engineIn = (directory: string): Record<string, string> => ({
  PATH: `${join(cache, "engine/bin")}:${process.env.PATH ?? ""}`,
  PULUMI_SKIP_UPDATE_CHECK: "true",
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  PULUMI_HOME: join(directory, "home"),
  PULUMI_BACKEND_URL: `file://${join(directory, "state")}`,
  PULUMI_CONFIG_PASSPHRASE: "e2e",
});

const env = engineIn(projectDir);

export interface StateResource {
  urn: string;
  type: string;
  id?: string;
  /** URN and id of the provider: which host it is on. */
  provider?: string;
  /** URN of the component that it belongs to. */
  parent?: string;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  initErrors?: string[];
}

export interface State {
  resources: StateResource[];
  pendingOperations: unknown[];
}

let engineHost: HostName | undefined;

/** From now on the engine runs on a host, which has to see this machine's files under their own paths. */
export function runEngineOn(host: HostName): void {
  engineHost = host;
}

/** The engine in the project, as run and start take it. */
function engine(args: string[], more: Record<string, string> = {}): [string[], RunOptions] {
  const command = ["pulumi", ...args, "--non-interactive"];
  const settings = { ...env, ...more };
  if (engineHost === undefined) return [command, { cwd: projectDir, env: settings }];
  const words = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  return [ssh(engineHost, sh`cd ${projectDir} && exec env ${[...words, ...command]}`.text), {}];
}

/** Runs the engine in the project; every exit status is an answer. */
export const pulumi = (args: string[], more: Record<string, string> = {}): Promise<Ended> =>
  run(...engine(args, more));

/** Starts the engine and leaves it running. */
export const startPulumi = (args: string[], more: Record<string, string> = {}): Running =>
  start(...engine(args, more));

const mustPulumi = (...args: string[]): Promise<Ended> => must(["pulumi", ...args], { cwd: projectDir, env });

/** The program is the checkout's own index unless a test brings one. */
export function writeProject(program = join(checkout, "dist/index.js")): void {
  const project = {
    name: "netdisk-e2e",
    runtime: { name: "nodejs", options: { typescript: false } },
    main: program,
    stackConfigDir: "stacks",
    plugins: { providers: [{ name: "netdisk", path: join(checkout, "provider") }] },
  };
  writeFileSync(join(projectDir, "Pulumi.yaml"), stringify(project));
}

const stackFileOf = (name: string): string => join(projectDir, `stacks/Pulumi.${name}.yaml`);

export const stackFile = stackFileOf(stack);

/** Replaces a section of the stack file; undefined removes it. */
export function setSection(key: string, value: unknown): void {
  const file = parse(readFileSync(stackFile, "utf8")) as { config: Record<string, unknown> };
  // The engine has put the project's name before each key.
  file.config[`netdisk-e2e:${key}`] = value;
  writeFileSync(stackFile, stringify(file));
}

export const setDisks = (disks: Record<string, Disk>): void => setSection("disks", disks);

/** As `pulumi config set --secret` does it. */
export const setSecret = (path: string, secret: string): Promise<Ended> =>
  mustPulumi("config", "set", "--secret", "--path", path, secret);

/** What a stack file says; secrets come as commands do, by `pulumi config set --secret`. */
export interface StackSettings {
  server: object;
  client: object;
  disks: Record<string, Disk>;
  /** By path: `recovery.passphrase`. */
  secrets: Record<string, string>;
}

export const defaultStack: StackSettings = {
  ...config,
  disks: { testdisk },
  secrets: { "recovery.passphrase": passphrase },
};

/** Describes one more stack, for calls with `--stack NAME`. */
export async function addStack(name: string, { secrets, ...settings }: StackSettings): Promise<void> {
  writeFileSync(stackFileOf(name), stringify({ config: settings }));
  await mustPulumi("stack", "init", name, "--no-select");
  for (const [path, secret] of Object.entries(secrets)) {
    await mustPulumi("config", "set", "--stack", name, "--secret", "--path", path, secret);
  }
}

/** An empty project with a stack described and nothing done. */
export async function newProject(settings: StackSettings = defaultStack): Promise<void> {
  rmSync(projectDir, { recursive: true, force: true });
  for (const folder of ["home", "state", "stacks"]) mkdirSync(join(projectDir, folder), { recursive: true });
  writeProject();
  await addStack(stack, settings);
  await mustPulumi("stack", "select", stack);
}

const keptProject = (name: string): string => join(checkout, ".lab", `${baseName}-project.${name}`);

/** Keeps project and state under a name, for each lane, or brings them back. */
export function keepProject(name: string): void {
  const kept = keptProject(name);
  rmSync(kept, { recursive: true, force: true });
  cpSync(projectDir, kept, { recursive: true });
}

/** `owner`: the lab whose hosts it was made for. */
export async function restoreProject(name: string, owner: string): Promise<void> {
  rmSync(projectDir, { recursive: true, force: true });
  cpSync(keptProject(name), projectDir, { recursive: true });
  for (const file of [stackFile, stateFile()]) {
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(sshConfigOf(owner), sshConfig));
  }
  // The engine keeps by the project's path which stack is selected.
  await mustPulumi("stack", "select", stack);
}

export const isKept = (name: string): boolean => existsSync(keptProject(name));

export const stateFile = (): string => join(projectDir, `state/.pulumi/stacks/netdisk-e2e/${stack}.json`);

/** What the state holds, secrets encrypted. */
export function state(): State {
  const { checkpoint } = JSON.parse(readFileSync(stateFile(), "utf8")) as {
    checkpoint: { latest: { resources: StateResource[]; pending_operations?: unknown[] } };
  };
  return {
    resources: checkpoint.latest.resources,
    pendingOperations: checkpoint.latest.pending_operations ?? [],
  };
}
