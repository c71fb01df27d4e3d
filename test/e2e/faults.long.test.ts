/**
 * A disk with `transport: session` through what can go wrong between two hosts and on the server, one after the other,
 * with a writer on it that counts a record once its fsync has returned. No process and no kernel may be told an error.
 * NETDISK_LONG_CUT_MINUTES (default 10): how long the longest cut lasts.
 */
import { beforeAll, describe, expect } from "vitest";
import { faultTable, wished } from "./harness/faults";
import { backing, backingFaults, makeFileSystem } from "./harness/faultyBacking";
import { mounted, on, tryOn } from "./harness/lab";
import { installFio, startCopy, underFio } from "./harness/load";
import { wakeUpLate } from "./harness/oldSession";
import {
  name,
  path,
  type Patient,
  patientOf,
  sessionDisk,
  shapeLink,
  startSession,
  status,
} from "./harness/outage";
import { beginResets, endResets } from "./harness/reset";
import { pause, type Running, until } from "./harness/run";
import { type Sample, startSample } from "./harness/sample";
import { ladder } from "./harness/scenario";
import { type SecondClient, secondName, startSecondClient } from "./harness/secondClient";
import { startWriting, type Work } from "./harness/work";

const minutes = (n: number) => n * 60_000;
const longCut = wished("NETDISK_LONG_CUT_MINUTES", 10);

const cuts = [
  ...[1, 10, 75].map((seconds) => ({ lasts: `${seconds} s`, seconds, limit: 5 })),
  { lasts: `${longCut} min`, seconds: 60 * longCut, limit: 10 },
];

type Act = () => Promise<unknown>;

/** Harm that lasts as long as is waited. */
const between = (begin: Act, seconds: number, end: Act) => async (): Promise<void> => {
  await begin();
  await pause(seconds);
  await end();
};
const withoutSshd = "sleep 1; systemctl stop ssh; pkill -KILL -x sshd-session; sleep 20; systemctl start ssh";

describe("a fault", () => {
  const step = ladder();
  const faults = faultTable();
  let sample: Sample;
  let work: Work | undefined;
  let patient: Patient | undefined;
  const ours = async (): Promise<{ work: Work; patient: Patient }> => {
    work ??= await startWriting(path);
    patient ??= await patientOf(work);
    return { work, patient };
  };
  const cutFor =
    (seconds: number): Act =>
    async () =>
      (await ours()).patient.cutWhile(() => pause(seconds));
  const endure = async (fault: string, harm: Act): Promise<number> =>
    faults.endure((await ours()).patient, fault, harm);

  beforeAll(async () => {
    await startSession({ ...sessionDisk, file: backing }, makeFileSystem);
    await installFio();
    sample = await startSample(backing.path, "base", "old", "new");
  }, minutes(40));

  // Before the writer: what wakes up might write over its records, too.
  step(
    "CONTROL: an old session that nobody ended writes over what is newer",
    async () => {
      expect(await wakeUpLate(sample, { escapes: true })).toEqual({ survivors: 1, unchanged: false });
    },
    minutes(5),
  );

  step(
    "an old session that wakes up after the next one has written is dead, and writes nothing",
    async () => {
      await endure("old session stopped, its bytes overwritten, woken up", async () => {
        expect(await wakeUpLate(sample, { escapes: false })).toEqual({ survivors: 0, unchanged: true });
      });
    },
    minutes(5),
  );

  step(
    "5 % of the packets are lost each way for 2 minutes, under fio and the writer",
    async () => {
      const { writer } = (await ours()).work;
      await underFio(path, async () => {
        await endure("5 % packet loss each way for 2 min", async () => {
          const before = writer.acknowledged();
          await shapeLink("5%");
          await pause(120);
          expect(writer.acknowledged()).toBeGreaterThan(before + 10);
          await shapeLink();
        });
      });
    },
    minutes(20),
  );

  const ofTheLink: Record<string, Act> = {
    "black hole for 75 s": cutFor(75),
    "connection reset, and each new one for 75 s": between(beginResets, 75, endResets),
    // Debian's unit leaves its sessions alone, a restart as such is no fault; nor can it be done by a session of its own.
    "no sshd on the server for 20 s, its sessions killed": async () => {
      await on("server", `systemd-run --quiet --collect sh -c '${withoutSshd}'`);
      await pause(25);
    },
    "SIGKILL of the session's sshd": () =>
      on("server", "kill -KILL $(pgrep -f '^sshd-session: netdisk-serve')"),
  };
  for (const [fault, harm] of Object.entries(ofTheLink)) {
    step(
      `${fault}: goes on within 15 s`,
      async () => {
        await ours();
        const { sessions } = await status();
        expect(await endure(fault, harm)).toBeLessThan(15);
        expect((await status()).sessions).toBeGreaterThan(sessions);
      },
      minutes(5),
    );
  }

  // By itself it tries again every 30 s at the latest, give or take a quarter.
  const resumed: Record<string, { resume: Act; limit: number }> = {
    "by netdisk resume": { resume: () => on("client", `netdisk resume ${name}`), limit: 15 },
    "by itself": { resume: () => Promise.resolve(), limit: 60 },
  };
  for (const [fault, { cause, begin, cure }] of Object.entries(backingFaults)) {
    for (const [how, { resume, limit }] of Object.entries(resumed)) {
      step(
        `${fault}: waits, says why, and goes on ${how}`,
        async () => {
          await begin();
          // Of a name of its own, so that the backing has to grow for it.
          const copy = await startCopy(`${path}/copy-${Date.now()}`, 24);
          const stall = await endure(`${fault}; cured, goes on ${how}`, async () => {
            await until("netdisk status says why", 90, async () =>
              cause.test(await on("client", `netdisk status ${name}`)),
            );
            await pause(10);
            expect((await status()).state).toBe("parked");
            await cure();
            await resume();
          });
          expect(stall).toBeLessThan(limit);
          await copy.verify();
        },
        minutes(10),
      );
    }
  }

  for (const { lasts, seconds, limit } of cuts)
    step(
      `a cut of ${lasts} under fio and the writer: goes on within ${limit} s`,
      async () => {
        await underFio(path, async () => {
          expect(await endure(`cut of ${lasts}`, cutFor(seconds))).toBeLessThan(limit);
        });
      },
      seconds * 1000 + minutes(30),
    );

  let second: SecondClient | undefined;
  const theirs = (): SecondClient => {
    if (!second) throw new Error("no second client was started");
    return second;
  };
  let queued: Running | undefined;
  let told: string[] = [];
  let stall = NaN;

  step("a second client is refused by the holder's name, and the holder notices nothing", async () => {
    await endure("second client asks for the disk", async () => {
      second = await startSecondClient();
      await until("it is refused", 60, async () =>
        /refused: the disk outage is held by client since 20\d\d-/.test((await theirs().status()).reason),
      );
    });
  });

  step(
    "a takeover fences the first client: what it has queued never reaches the backing",
    async () => {
      const whole = () => on("server", `sha256sum ${backing.path}`);
      await sample.write("base");
      // The write is on its way and does not get far; then the plugin stops before it can dial anew.
      const plugin = await on("client", `systemctl show -P MainPID netdisk-session@${name}`);
      const ssh = await on("client", `pgrep -x -P ${plugin} ssh`);
      await on("client", `kill -STOP ${ssh}`);
      await pause(3);
      const { waiting } = await status();
      queued = sample.startWrite("old");
      await until("the write is queued", 10, async () => (await status()).waiting > waiting);
      await on("client", `kill -STOP ${plugin}`);

      const begin = Date.now();
      await theirs().on(`netdisk takeover ${name}`);
      await until("the second client has the disk", 60, async () => (await theirs().status()).state === "up");
      stall = (Date.now() - begin) / 1000;
      const before = await whole();

      const fenced = async (): Promise<void> => {
        await on("client", `netdisk resume ${name}`);
        const reason = `fenced: this attachment of client has lost the disk ${name}; ${secondName} holds it`;
        await until("the first client is told", 90, async () => (await status()).reason.includes(reason));
        await pause(5);
      };
      await on("client", `kill -CONT ${plugin} ${ssh}`);
      await fenced();
      expect(await whole()).toBe(before);
      // Before the second client has a device of its own in the same kernel, whose end is loud.
      told = await (await ours()).patient.errors();
      expect(told).toEqual([]);
      await theirs().write(sample.block, 16);
      const newer = await whole();
      expect(newer).not.toBe(before);
      await fenced();
      expect(await whole()).toBe(newer);
      expect((await theirs().status()).state).toBe("up");
      expect((await ours()).work.failure()).toBeUndefined();
    },
    minutes(10),
  );

  step(
    "the first client is told when it gives the disk up, and has all acknowledged records once it has it again",
    async () => {
      const { work } = await ours();
      await on("client", `netdisk abort ${name}`);
      expect((await queued?.ended)?.code).not.toBe(0);
      await work.gone;
      // The mount's unit fails, as it should: what was given up is no success.
      await tryOn("client", `systemctl stop netdisk@${name}.target; systemctl reset-failed`);
      await theirs().stop();
      await on("client", `systemctl start --no-block netdisk@${name}.target`);
      await mounted(path);
      const lost = await work.lost();
      faults.show("takeover by a second client", { count: 1, errors: told.length, lost, longest: stall });
      expect(lost).toBe(0);
    },
    minutes(10),
  );
});
