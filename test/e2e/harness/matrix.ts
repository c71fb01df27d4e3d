/** Acts of `pulumi` that are struck at every one of their steps, and what must hold after the next run. */
import { existsSync, rmSync } from "node:fs";
import { expect } from "vitest";
import { resourceOf, traceLines } from "./commands";
import { lab, labName, mounted, on, powerCycle } from "./lab";
import {
  keepProject,
  pulumi,
  restoreProject,
  setDisks,
  startPulumi,
  testdisk,
  traceFile,
  type Disk,
} from "./project";
import { pause, until, type Running } from "./run";
import { destroy, up } from "./scenario";
import { expectConverges, second, strike } from "./strike";

/** A disk's content that must survive: on the disk beside the one that is worked on, and on that one. */
interface Precious {
  path: string;
  digest: string;
}

export interface Act {
  /** Brings hosts and state to where it begins. */
  prepare(): Promise<void>;
  /** Says in the stack file what is wanted, for the acts that a stack file asks for. */
  wish?(): void;
  command: "up" | "destroy";
  /** Where the disk that is worked on is mounted before and after; undefined where it is not. */
  before?: string;
  after?: string;
}

const both = (changed: Disk = second) => setDisks({ testdisk, second: changed });
// The settings of an export are a forwarded disk's.
const forwarded: Disk = { ...second, transport: "forward" };
const changed: Disk = {
  ...forwarded,
  mount: { path: "/mnt/moved", options: ["noatime"] },
  export: { fua: false },
};
const grown: Disk = { ...second, file: { ...second.file, size: "384 MiB" } };

const withSecond = async (disk?: Disk) => {
  both(disk);
  await up();
  await mounted(second.mount.path);
};

export const acts: Record<string, Act> = {
  "a disk is made": {
    prepare: async () => setDisks({ testdisk }),
    wish: () => both(),
    command: "up",
    after: second.mount.path,
  },
  "export, mount point and options change": {
    prepare: () => withSecond(forwarded),
    wish: () => both(changed),
    command: "up",
    before: second.mount.path,
    after: "/mnt/moved",
  },
  "a disk grows": {
    prepare: () => withSecond(),
    wish: () => both(grown),
    command: "up",
    before: second.mount.path,
    after: second.mount.path,
  },
  "a disk is removed from the stack file": {
    prepare: () => withSecond(),
    wish: () => setDisks({ testdisk }),
    command: "up",
    before: second.mount.path,
  },
  "the stack is destroyed": {
    prepare: () => withSecond(),
    command: "destroy",
    before: second.mount.path,
  },
};

export const blows: Record<string, (run: Running) => Promise<unknown>> = {
  "SIGKILL of the providers": (run) => strike("SIGKILL of the providers", run),
  "a cut link": async (run) => {
    await lab("link", "cut");
    await Promise.race([run.ended, pause(20)]);
    await lab("link", "heal");
    await run.ended;
  },
  "a power cut of the server": async (run) => {
    await powerCycle("server");
    await run.ended;
  },
  "a power cut of the client": async (run) => {
    await powerCycle("client");
    await run.ended;
  },
};

const args = { up: ["up", "--yes", "--skip-preview"], destroy: ["destroy", "--yes", "--skip-preview"] };

async function store(path: string): Promise<Precious> {
  const file = `${path}/precious`;
  await on("client", `head -c 4M /dev/urandom >${file} && sync -f ${file}`);
  return { path, digest: await digest(path) };
}

const digest = (path: string) =>
  on("client", `echo 3 >/proc/sys/vm/drop_caches; sha256sum <${path}/precious | cut -d' ' -f1`);

/** A step as it can be found again in another run: resource, command, and which time it is run. */
const stepsOf = (): string[] => {
  const seen = new Map<string, number>();
  return (existsSync(traceFile) ? traceLines() : [])
    .filter(({ event }) => event === "begin")
    .map((line) => {
      const step = `${resourceOf(line)}: ${line.step}`;
      const times = (seen.get(step) ?? 0) + 1;
      seen.set(step, times);
      return times === 1 ? step : `${step} (${times})`;
    });
};

const begin = (act: Act): Running => {
  act.wish?.();
  rmSync(traceFile, { force: true });
  return startPulumi(args[act.command], { NETDISK_TRACE: traceFile });
};

const snapshot = "act";

/** Where an act begins, kept: hosts, state, and data on both disks. */
export interface Beginning {
  act: Act;
  precious: Precious[];
  /** From a run that nobody disturbs. */
  steps: string[];
}

export async function prepare(act: Act): Promise<Beginning> {
  await act.prepare();
  const precious = [await store(testdisk.mount.path)];
  if (act.before !== undefined) precious.push(await store(act.before));
  await lab("snapshot", "save", snapshot);
  keepProject(snapshot);
  await back(act);
  const { code, output } = await begin(act).ended;
  expect(code, output).toBe(0);
  return { act, precious, steps: stepsOf() };
}

/** The disks have come back by themselves after the hosts' start. */
async function back({ before }: Act): Promise<void> {
  await mounted();
  if (before !== undefined) await mounted(before);
}

/** @returns Whether the step was met: what a run does side by side may make another one needless. */
export async function strikeAt(
  step: string,
  { act, precious }: Beginning,
  blow: (run: Running) => Promise<unknown>,
): Promise<boolean> {
  await lab("snapshot", "restore", snapshot);
  await restoreProject(snapshot, labName);
  await back(act);
  const run = begin(act);
  let over = false;
  void run.ended.then(() => (over = true));
  await until(`the run comes to "${step}"`, 300, async () => over || stepsOf().includes(step));
  const met = stepsOf().includes(step);
  await blow(run);

  if (act.command === "destroy") {
    await pulumi(["cancel", "--yes"]);
    await destroy();
  }
  await expectConverges();
  // A disk that is no longer wished for must come back with its data.
  if (act.before !== undefined && act.after === undefined) await withSecond();
  for (const { path, digest: before } of precious) {
    const now = path === act.before ? (act.after ?? path) : path;
    await mounted(now);
    expect(await digest(now), `the data on ${now}`).toBe(before);
  }
  if (act.after !== undefined) await mounted(act.after);
  return met;
}
