/**
 * One `./check` over some tests on the client, watched from here. It runs in a unit of its own, so that no login has to
 * live as long, and what it says is read as it comes. A test that takes too long, or a client that no longer answers,
 * ends it: what such a test leaves behind (mounts, mappings, processes that nobody can end) would harm the next ones, so
 * the client's power is cut and put back.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sh } from "../../../../provider/host/sh";
import { lab, ssh, tryOn } from "../lab";
import { pause, start } from "../run";
import { type Outcome, readCheck } from "./checkOutput";
import type { Devices } from "./disks";
import { checkout } from "./install";

const unit = "netdisk-xfstests";
const outputFile = "/run/xfstests.out";
const testDir = "/mnt/xfstests-test";
const scratchDir = "/mnt/xfstests-scratch";

/** How long a client may say nothing, in seconds, until it counts as dead. It is slow when the machine is. */
const silence = 180;

export interface Check {
  tests: readonly string[];
  devices: Devices;
  /** Tells this run's files on the client from others': `netdisk-1`. */
  name: string;
  /** Seconds that a test may take. */
  limit: number;
  /** A folder of this machine for what failed tests leave. */
  evidence: string;
  found(outcome: Outcome): void;
}

const resultsOf = (name: string): string => `/root/xfstests-results/${name}`;

const launch = ({ tests, devices, name }: Check) => sh`set -e
mkdir -p ${testDir} ${scratchDir} ${resultsOf(name)}
rm -f ${outputFile}
systemctl reset-failed ${unit} 2>/dev/null || true
exec systemd-run --quiet --collect --unit=${unit} --working-directory=${checkout} \\
  --property=StandardOutput=file:${outputFile} --property=StandardError=inherit --property=IgnoreSIGPIPE=no \\
  --setenv=HOME=/root --setenv=USER=root --setenv=LOGNAME=root --setenv=FSTYP=xfs \\
  --setenv=TEST_DEV=${devices.test} --setenv=TEST_DIR=${testDir} \\
  --setenv=SCRATCH_DEV=${devices.scratch} --setenv=SCRATCH_MNT=${scratchDir} \\
  --setenv=RESULT_BASE=${resultsOf(name)} ${checkout}/check ${tests}`;

/** What the client answers within this time; undefined where it does not, or the command fails. */
async function ask(command: string, seconds: number): Promise<Buffer | undefined> {
  const { child, ended } = start(ssh("client", command));
  const late = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  const { code, stdout } = await ended;
  clearTimeout(late);
  return code === 0 ? stdout : undefined;
}

interface Poll {
  isOver: boolean;
  said: Buffer;
}

/** What it has said beyond so many bytes; the state is asked first, so that nothing is said after "over". */
async function poll(from: number): Promise<Poll | undefined> {
  const answer = await ask(
    sh`systemctl is-active ${unit} || true; tail -c +${from + 1} ${outputFile}`.text,
    60,
  );
  if (answer === undefined) return undefined;
  const end = answer.indexOf("\n");
  const state = answer.subarray(0, end).toString();
  return { isOver: !/^(de)?activ(e|ating)$/.test(state), said: answer.subarray(end + 1) };
}

const nameOf = (test: string): string => test.replace("/", "-");

/** What a failed test left: its own log, what the kernel said, what it printed. */
async function keepFiles({ name, evidence }: Check, test: string): Promise<void> {
  for (const kind of ["out.bad", "full", "dmesg", "hints"]) {
    const file = await ask(sh`tail -c 1000000 ${`${resultsOf(name)}/${test}.${kind}`}`.text, 60);
    if (file === undefined || file.length === 0) continue;
    mkdirSync(evidence, { recursive: true });
    writeFileSync(join(evidence, `${name}-${nameOf(test)}.${kind}`), file);
  }
}

/** What a client at a standstill can still say of itself. */
async function keepState({ name, evidence }: Check, test: string, said: string): Promise<void> {
  const state = await ask(
    "echo w >/proc/sysrq-trigger; ps axo pid,ppid,stat,wchan:30,args; netdisk status; dmesg | tail -n 400",
    60,
  );
  mkdirSync(evidence, { recursive: true });
  const text = `${said}\n\n${state?.toString() ?? "the client answered no more"}\n`;
  writeFileSync(join(evidence, `${name}-${nameOf(test)}.state`), text);
}

/** A new boot of the client. */
async function rebootHard(): Promise<void> {
  await lab("power", "cut", "client");
  await lab("power", "on", "client");
}

/** Ends what a run that was killed has left running. */
export async function endLeftovers(): Promise<void> {
  if ((await tryOn("client", sh`systemctl is-active ${unit}`.text)).code === 0) await rebootHard();
}

const lastLines = (text: string): string => text.trim().split("\n").slice(-15).join("\n");

const secondsSince = (moment: number): number => (Date.now() - moment) / 1000;

/** Returns when all tests were run, or one of them has ended the client; the others then wait for another call. */
export async function runCheck(check: Check): Promise<void> {
  const begun = await tryOn("client", launch(check).text);
  if (begun.code !== 0) throw new Error(`check could not be started: ${begun.output}`);
  let output = Buffer.alloc(0);
  let told = 0;
  let running: string | undefined;
  let since = Date.now();
  let heard = Date.now();

  const endedBadly = async (reason: string): Promise<void> => {
    const text = output.toString();
    await keepState(check, running ?? "before", text);
    await rebootHard();
    if (running === undefined) throw new Error(`${reason}, and no test was under way:\n${lastLines(text)}`);
    check.found({ test: running, status: "fail", reason });
  };

  for (;;) {
    await pause(5);
    const answer = await poll(output.length);
    if (answer) {
      heard = Date.now();
      output = Buffer.concat([output, answer.said]);
    }
    const said = readCheck(output.toString());
    for (const outcome of said.finished.slice(told)) {
      if (outcome.status === "fail") await keepFiles(check, outcome.test);
      check.found(outcome);
    }
    if (told !== said.finished.length || running !== said.running) since = Date.now();
    told = said.finished.length;
    running = said.running;
    if (answer?.isOver) {
      if (running !== undefined || told === 0) await endedBadly("check ended in the middle");
      return;
    }
    if (secondsSince(heard) > silence) return endedBadly("the client answered no more");
    if (secondsSince(since) > check.limit) return endedBadly(`not over after ${check.limit} s`);
  }
}
