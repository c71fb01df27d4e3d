/** Acts of `pulumi` that are struck at every one of their steps, and what must hold after the next run. */
import { existsSync, rmSync } from "node:fs";
import { expect } from "vitest";
import { traceLines } from "./commands";
import { type HostName, lab, labName, mounted, on } from "./lab";
import {
  keepProject,
  pulumi,
  restoreProject,
  setDisks,
  setSecret,
  startPulumi,
  testdisk,
  traceFile,
  type Disk,
} from "./project";
import { type Remains, remains } from "./remains";
import { expectRescue, headerOf, slotsOf } from "./rescue";
import { pause, until, type Running } from "./run";
import { destroy, up } from "./scenario";
import { expectConverges, halt, longestWay, orEnd, second, strike } from "./strike";
import { type Outcome, stepsIn } from "./tally";

/** A disk's content that must survive: on the disk beside the one that is worked on, and on that one. */
interface Precious {
  disk: "testdisk" | "second";
  path: string;
  digest: string;
}

export interface Act {
  /** Brings hosts and state to where it begins. */
  prepare(): Promise<void>;
  /** Says in the stack file what is wanted, for the acts that a stack file asks for. */
  wish?(): unknown;
  command: "up" | "destroy";
  /** Where the disk that is worked on is mounted before and after; undefined where it is not. */
  before?: string;
  after?: string;
  /** What must hold in the end besides. */
  proof?(): Promise<unknown>;
}

const both = (changed: Disk = second) => setDisks({ testdisk, second: changed });
// The settings of an export are a forwarded disk's.
const forwarded: Disk = { ...second, transport: "forward" };
const changed: Disk = {
  ...forwarded,
  mount: { path: "/mnt/moved", options: ["noatime"] },
  export: { fua: false },
};
const rotated: Disk = { ...second, key: { slot: 1 } };
const nextPassphrase = "another recovery passphrase";
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
  "a disk's key and the recovery passphrase change": {
    prepare: () => withSecond(),
    wish: () => {
      both(rotated);
      return setSecret("recovery.passphrase", nextPassphrase);
    },
    command: "up",
    before: second.mount.path,
    after: second.mount.path,
    proof: async () => {
      expect(await slotsOf(headerOf("second")), "only the new key opens it").toEqual([1]);
      await expectRescue("second", nextPassphrase);
      await expectRescue("testdisk", nextPassphrase);
    },
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

export interface Blow {
  /** Returns when the harm is done. */
  land(run: Running): Promise<unknown>;
  /** Repairs what the run cannot go on without, or the next one. */
  pass?(run: Running): Promise<unknown>;
}

const powerCut = (host: HostName): Blow => ({
  land: () => lab("power", "cut", host),
  pass: () => lab("power", "on", host),
});

export const blows: Record<string, Blow> = {
  "SIGKILL of the providers": {
    land: async (run) => expect(await strike("SIGKILL of the providers", run), run.said()).not.toBe(0),
  },
  "a cut link": {
    land: () => lab("link", "cut"),
    pass: async (run) => {
      await Promise.race([run.ended, pause(20)]);
      await lab("link", "heal");
    },
  },
  "a power cut of the server": powerCut("server"),
  "a power cut of the client": powerCut("client"),
};

const args = { up: ["up", "--yes", "--skip-preview"], destroy: ["destroy", "--yes", "--skip-preview"] };

const digest = (path: string) =>
  on("client", `echo 3 >/proc/sys/vm/drop_caches; sha256sum <${path}/precious | cut -d' ' -f1`);

async function store(disk: Precious["disk"], path: string): Promise<Precious> {
  const file = `${path}/precious`;
  await on("client", `head -c 4M /dev/urandom >${file} && sync -f ${file}`);
  return { disk, path, digest: await digest(path) };
}

const stepsOf = (): Map<string, boolean> => stepsIn(existsSync(traceFile) ? traceLines() : []);

async function begin(act: Act): Promise<Running> {
  await act.wish?.();
  rmSync(traceFile, { force: true });
  return startPulumi(args[act.command], { NETDISK_TRACE: traceFile });
}

const snapshot = "act";

/** Where an act begins, kept: hosts, state, and data on both disks. */
export interface Beginning {
  act: Act;
  precious: Precious[];
  /** From a run that nobody disturbs. */
  steps: string[];
  /** What that leaves on the hosts, of an act that is to leave nothing. */
  left?: Remains;
}

export async function prepare(act: Act): Promise<Beginning> {
  await act.prepare();
  const precious = [await store("testdisk", testdisk.mount.path)];
  if (act.before !== undefined) precious.push(await store("second", act.before));
  await lab("snapshot", "save", snapshot);
  keepProject(snapshot);
  await back(act);
  const { code, output } = await (await begin(act)).ended;
  expect(code, output).toBe(0);
  await act.proof?.();
  const left = act.command === "destroy" ? await remains() : undefined;
  return { act, precious, steps: [...stepsOf().keys()], ...(left && { left }) };
}

/** The disks have come back by themselves after the hosts' start. */
async function back({ before }: Act): Promise<void> {
  await mounted();
  if (before !== undefined) await mounted(before);
}

/**
 * The run stands still from the step until the blow has landed: many steps are shorter than a power cut takes.
 * @returns Undefined where the step was over before, or did not come at all: what a run does side by side may make another
 *   one needless. Nothing was struck then.
 */
export async function strikeAt(step: string, beginning: Beginning, blow: Blow): Promise<Outcome | undefined> {
  const { act, precious } = beginning;
  await lab("snapshot", "restore", snapshot);
  await restoreProject(snapshot, labName);
  await back(act);
  const run = await begin(act);
  let over = false;
  void run.ended.then(() => (over = true));
  const come = async () => over || stepsOf().has(step);
  await orEnd(run, () => until(`the run comes to "${step}"`, longestWay, come, 0.005));
  const halted = halt(run);
  if (stepsOf().get(step) !== false) {
    halted("SIGKILL");
    await run.ended;
    return undefined;
  }
  await orEnd(run, async () => {
    try {
      await blow.land(run);
    } finally {
      halted("SIGCONT");
    }
    await blow.pass?.(run);
  });
  const outlived = (await run.ended).code === 0;
  try {
    await expectHolds(beginning);
  } catch (error) {
    return { outlived, failure: (error as Error).message, lost: [] };
  }
  return { outlived, lost: await lostOf(act, precious) };
}

/** The next run converges, and does what was wished. */
async function expectHolds({ act, left }: Beginning): Promise<void> {
  if (act.command === "destroy") {
    await pulumi(["cancel", "--yes"]);
    await destroy();
    expect(await remains(), "as a run leaves it that nobody disturbs").toEqual(left);
  }
  await expectConverges();
  await act.proof?.();
  // A disk that is no longer wished for must come back with its data.
  if (act.before !== undefined && act.after === undefined) await withSecond();
  if (act.after !== undefined) await mounted(act.after);
}

/** Each disk is opened anew: a mapping that was open all the time would not show that its key or header is lost. */
async function lostOf(act: Act, precious: readonly Precious[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { disk, path, digest: before } of precious) {
    const now = path === act.before ? (act.after ?? path) : path;
    try {
      await on("client", `systemctl stop netdisk@${disk}.target && systemctl start netdisk@${disk}.target`);
      await mounted(now);
      expect(await digest(now)).toBe(before);
    } catch (error) {
      lost.push(`${now}: ${(error as Error).message}`);
    }
  }
  return lost;
}
