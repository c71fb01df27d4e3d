/** Runs programs of this machine and keeps all that they say. */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const checkout = join(__dirname, "../../..");

export interface Ended {
  /** Exit status; 128 + n when signal n ended it. */
  code: number;
  /** stdout and stderr as they came. */
  output: string;
  stdout: Buffer;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  stdin?: string | Buffer;
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** What it has said so far. */
  said(): string;
}

const signals: Record<string, number> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

export function start(command: string[], options: RunOptions = {}): Running {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    cwd: options.cwd ?? checkout,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  const all: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout.push(chunk);
    all.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => all.push(chunk));
  // A program that does not read its input is no error of ours.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.stdin);
  const said = () => Buffer.concat(all).toString();
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve({
        code: code ?? 128 + (signals[signal ?? ""] ?? 0),
        stdout: Buffer.concat(stdout),
        // Made when asked for: a disk's whole contents are too long for a string.
        get output() {
          return said();
        },
      });
    });
  });
  return { child, ended, said };
}

export const run = (command: string[], options?: RunOptions): Promise<Ended> => start(command, options).ended;

/** Like run, but anything but exit status 0 throws with all that was said. */
export async function must(command: string[], options?: RunOptions): Promise<Ended> {
  const ended = await run(command, options);
  if (ended.code !== 0) {
    throw new Error(`${command.join(" ")}: exit status ${ended.code}\n${ended.output}`);
  }
  return ended;
}

/** The fields of proc_pid_stat(5) from the third on, whose second may hold blanks; undefined where no such process is. */
export function statOf(pid: number | string): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

export const pause = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Asks every so many seconds until the answer is neither undefined nor false; gives up with what was awaited. */
export async function until<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T | undefined | false>,
  every = 0.3,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await pause(every);
  }
}
