/** Runs that are killed or interrupted at the worst moment, and what must hold after the next one. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect } from "vitest";
import { hosts, mounted, on, tryOn } from "./lab";
import { pulumi, setDisks, startPulumi, state, testdisk, type Disk } from "./project";
import { pause, statOf, until, type Running } from "./run";
import { expectNoChanges, up } from "./scenario";

export const second = {
  file: { path: "/var/lib/netdisk/second.img", size: "320 MiB" },
  mount: { path: "/mnt/second" },
} satisfies Disk;

/** Ids of the provider processes with this parent. */
function providersOf(engine: number): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      try {
        return (
          Number(statOf(entry)?.[1]) === engine &&
          readFileSync(`/proc/${entry}/cmdline`, "utf8").includes("dist/provider/main")
        );
      } catch {
        return false; // it has ended meanwhile
      }
    })
    .map(Number);
}

const strikes = {
  "SIGKILL of the CLI": ({ child }: Running) => {
    child.kill("SIGKILL");
  },
  "SIGKILL of the providers": ({ child }: Running) => {
    const providers = providersOf(child.pid!);
    expect(providers.length, "provider processes").toBeGreaterThan(0);
    for (const pid of providers) process.kill(pid, "SIGKILL");
  },
  "Ctrl-C": ({ child }: Running) => {
    child.kill("SIGINT");
  },
};

export type Strike = keyof typeof strikes;

/** The run's providers stand still, and so each of them in its step, until what is returned lets them go on or ends them. */
export function halt({ child }: Running): (then: "SIGCONT" | "SIGKILL") => void {
  const providers = providersOf(child.pid!);
  for (const pid of providers) process.kill(pid, "SIGSTOP");
  return (then) => {
    for (const pid of providers.filter((pid) => readdirSync("/proc").includes(String(pid))))
      process.kill(pid, then);
  };
}

/** Where this fails the run is ended with it: the next test would meet it at work. */
export async function orEnd<T>(run: Running, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    run.child.kill("SIGKILL");
    await run.ended;
    throw error;
  }
}

/** Does it to a run, and waits until nobody of it is left. Returns its exit status. */
export async function strike(blow: Strike, run: Running): Promise<number> {
  const providers = providersOf(run.child.pid!);
  strikes[blow](run);
  const { code } = await run.ended;
  await until("the providers are gone", 10, async () =>
    providers.every((pid) => !readdirSync("/proc").includes(String(pid))),
  );
  return code;
}

/** Starts `up`, strikes at the moment, and waits for the end of it all. */
async function struckUp(blow: Strike, moment: () => Promise<unknown>): Promise<void> {
  const run = startPulumi(["up", "--yes", "--skip-preview"]);
  await orEnd(run, moment);
  expect(await strike(blow, run), run.said()).not.toBe(0);
}

/** Seconds until a run comes to where it is struck; less than its test may take, which would leave it behind. */
export const longestWay = 300;

/**
 * Strikes exactly when the client is about to run this program with such arguments (a shell pattern): a stand-in holds it
 * there. What the run did before is done, what comes after is not.
 */
export async function strikeBefore(blow: Strike, program: string, pattern: string): Promise<void> {
  const standIn = `/usr/local/sbin/${program}`;
  const real = await on("client", `rm -f ${standIn} /run/struck; command -v ${program}`);
  const text = `#!/bin/sh\ncase "$*" in ${pattern}) echo $$ >/run/struck; exec sleep 900 ;; esac\nexec ${real} "$@"\n`;
  await on("client", `cat >${standIn} && chmod 0755 ${standIn}`, text);
  try {
    await struckUp(blow, () =>
      until(`${program} ${pattern} is held on the client`, longestWay, async () => {
        const held = await tryOn("client", "test -e /run/struck");
        return held.code === 0;
      }),
    );
  } finally {
    // The command that was struck ends here, as it would by a power cut; the next run would wait for it.
    await on("client", `[ ! -e /run/struck ] || kill -KILL $(cat /run/struck); rm -f ${standIn} /run/struck`);
  }
}

/** The next run works, and neither host nor state holds anything twice or without an owner. */
export async function expectConverges(): Promise<void> {
  // Needed only after the CLI itself was killed; otherwise there is no lock to take away.
  await pulumi(["cancel", "--yes"]);
  await up();
  await mounted();
  await expectNoChanges();

  const { resources } = state();
  expect(new Set(resources.map(({ urn }) => urn)).size, "no resource twice").toBe(resources.length);
  expect(resources.filter(({ initErrors }) => initErrors?.length)).toEqual([]);
  const ids = resources.map(({ id }) => id).filter((id) => id !== undefined);
  for (const host of hosts) {
    // KIND/NAME/STACK.json: the folder is the id of what is claimed.
    const claims = await on(host, "cd /var/lib/netdisk/claims && find . -type f -printf '%P\\n'");
    for (const claim of claims.split("\n")) {
      expect(ids, `who owns ${claim} on the ${host}`).toContain(dirname(claim));
    }
    expect(
      await on(host, "find /var/lib/netdisk/intent -type f 2>/dev/null || true"),
      "nothing unfinished",
    ).toBe("");
  }
  for (const name of ["make", "cryptsetup", "mkfs.xfs"]) {
    expect((await tryOn("client", `pgrep -x ${name}`)).code, `${name} runs no more`).toBe(1);
  }
}

/** What a removed disk leaves behind on purpose: without it the next one is made from nothing. */
async function forgetSecond(): Promise<void> {
  await on("client", "rm -f /etc/netdisk/keys/second.key /var/lib/netdisk/headers/second.luks");
  await on("server", `rm -f ${second.file.path} /etc/netdisk/made/second`);
}

/**
 * Moments in the formatting of the second disk: what the client is about to run, and the note that tells the next run whose
 * the half-made thing is. A look at the disk beside it runs none of these with such arguments.
 */
const formats = {
  luksFormat: ["cryptsetup", "luksFormat*", "luks-second"],
  "the header's way to the device": ["dd", "*of=/dev/netdisk/second*", "luks-second"],
  "the end of luksFormat": ["rm", "*/intent/luks-second", "luks-second"],
  "mkfs.xfs": ["mkfs.xfs", "*", "mkfs-second"],
  "the end of mkfs.xfs": ["sync", "/dev/mapper/second", "mkfs-second"],
} as const;

export type Format = keyof typeof formats;

/** Strikes at a moment when a second disk is being formatted, next to one that is in use. */
export async function strikeAtFormat(blow: Strike, format: Format): Promise<void> {
  setDisks({ testdisk });
  await up();
  await forgetSecond();

  setDisks({ testdisk, second });
  const [program, pattern, note] = formats[format];
  await strikeBefore(blow, program, pattern);
  expect(await on("client", "ls -A /var/lib/netdisk/intent"), "the note of what was struck").toBe(note);
  await expectConverges();
  await mounted(second.mount.path);
}

/** Strikes while nbd is being built anew because its client was overwritten. */
export async function strikeDuringBuild(strike: Strike): Promise<void> {
  const digest = () => on("client", "sha256sum /opt/nbd/sbin/nbd-client | cut -d' ' -f1");
  const intact = await digest();
  // Without the finished build that is kept, repair means to build.
  await on("client", "rm -rf /var/lib/netdisk/build/nbd-stage");
  await on("client", "cp /bin/true /opt/nbd/sbin/new && mv /opt/nbd/sbin/new /opt/nbd/sbin/nbd-client");
  await struckUp(strike, () =>
    until("make runs on the client", 180, async () => (await tryOn("client", "pgrep -x make")).code === 0),
  );
  // A build that goes on without its run would be met by the next one.
  await pause(1);
  await expectConverges();
  expect(await digest()).toBe(intact);
}
