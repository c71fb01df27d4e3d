/** The session that serves the disk is stopped in the middle of its work and woken up when the next one has worked. */
import { expect } from "vitest";
import { serveRelay, serveSocket } from "../../../schema/paths";
import { sh } from "../../../provider/host/sh";
import { on } from "./lab";
import { name, status } from "./outage";
import { pause, until } from "./run";
import type { Sample } from "./sample";

interface Process {
  pid: string;
  /** In ticks since the boot: no later process with this pid has the same. */
  started: string;
}

/** Stops all processes of the server that a command prints the pids of. */
async function stop(pids: string): Promise<Process[]> {
  const said = await on(
    "server",
    `for pid in $(${pids}); do kill -STOP $pid && echo "$pid $(cut -d' ' -f22 /proc/$pid/stat)"; done`,
  );
  const found = [...said.matchAll(/^(\d+) (\d+)$/gm)].map(([, pid = "", started = ""]) => ({ pid, started }));
  expect(found.length, pids).toBeGreaterThan(0);
  return found;
}

async function wake(stopped: Process[]): Promise<void> {
  for (const { pid } of stopped) await on("server", `kill -CONT ${pid} 2>/dev/null || true`);
}

/** Those that are still there, stopped or not. */
async function alive(processes: Process[]): Promise<Process[]> {
  const found = await Promise.all(
    processes.map(({ pid, started }) =>
      on(
        "server",
        `awk '$22 == ${started} && $3 !~ /[ZX]/ { print "alive" }' /proc/${pid}/stat 2>/dev/null || true`,
      ),
    ),
  );
  return processes.filter((_, index) => found[index] === "alive");
}

/** Bytes that the client has sent and nbd-server has not read yet. */
async function unread(): Promise<number> {
  const queues = await on("server", sh`ss -Hx | grep -F ${serveSocket(name)} | awk '{ print $3 }'`.text);
  return Math.max(...queues.split("\n").map(Number));
}

/** The sessions of a disk are siblings in one slice, a cgroup each; in front of each there is its relay. */
const sessionPids = `cat /sys/fs/cgroup/system.slice/*netdisk*serve*${name}.slice/*/cgroup.procs`;
const relayPids = `pgrep -f '[/]${serveRelay(name).slice(1)}'`;

/** Out of the cgroup by which the next session would end it. */
async function free(processes: Process[]): Promise<void> {
  for (const { pid } of processes) await on("server", `echo ${pid} >/sys/fs/cgroup/cgroup.procs`);
}

export interface LateWakeUp {
  /** Number of the old session's processes that were there when the next one served. */
  survivors: number;
  /** Whether the sample was still what the next session had made of it. */
  unchanged: boolean;
}

/**
 * A session stops with a write of `old` in its hands. The next one makes this write in its place, and then one of `new`
 * to the same bytes. Then the old session wakes up. `escapes`: it is hidden from who would end it.
 */
export async function wakeUpLate(sample: Sample, { escapes }: { escapes: boolean }): Promise<LateWakeUp> {
  await sample.write("base");
  const { sessions } = await status();
  const session = await stop(sessionPids);
  const held = sample.startWrite("old");
  await until("the old session holds the write", 15, async () => (await unread()) > 64 * 1024);
  const relay = await stop(relayPids);
  if (escapes) await free(session);

  await until("the next session is up", 120, async () => {
    const now = await status();
    return now.state === "up" && now.sessions > sessions;
  });
  const survivors = (await alive(session)).length;
  const { code, output } = await held.ended;
  expect(code, output).toBe(0);
  await sample.write("new");
  const before = await sample.seen();

  await wake([...session, ...relay]);
  await until("the old session is gone", 30, async () => (await alive([...session, ...relay])).length === 0);
  await pause(3);
  const after = await sample.seen();
  return { survivors, unchanged: JSON.stringify(after) === JSON.stringify(before) };
}
