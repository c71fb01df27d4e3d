/** Runs that are killed or interrupted at the worst moment: the next one converges, with nothing left behind or done twice. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hosts, mounted, on, tryOn } from "./harness/lab";
import { pulumi, setDisks, startPulumi, state, testdisk, type Disk } from "./harness/project";
import { pause, until, type Running } from "./harness/run";
import { expectNoChanges, startMounted, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

const second: Disk = {
  file: { path: "/var/lib/netdisk/second.img", size: "320 MiB" },
  mount: { path: "/mnt/second" },
};

beforeAll(startMounted, minutes(15));

/** Resolves once a program of this name runs on the client: the moment to strike. */
const running = (name: string) =>
  until(
    `${name} runs on the client`,
    180,
    async () => (await tryOn("client", `pgrep -x ${name}`)).code === 0,
  );

/** Ids of the provider processes that the engine has started. */
function providersOf(engine: number): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return parent === engine && readFileSync(`/proc/${entry}/cmdline`, "utf8").includes("provider");
      } catch {
        return false; // it has ended meanwhile
      }
    })
    .map(Number);
}

const strikes = {
  "SIGKILL of the CLI": ({ child }: Running) => child.kill("SIGKILL"),
  "SIGKILL of the providers": ({ child }: Running) => {
    const providers = providersOf(child.pid!);
    expect(providers.length, "provider processes").toBeGreaterThan(0);
    for (const pid of providers) process.kill(pid, "SIGKILL");
  },
  "Ctrl-C": ({ child }: Running) => child.kill("SIGINT"),
};

/** The next run works, and neither host nor state holds anything twice or without an owner. */
async function expectConverges(): Promise<void> {
  // Needed only after the CLI itself was killed; otherwise there is no lock to take away.
  await pulumi(["cancel", "--yes"]);
  await up();
  await mounted();
  await expectNoChanges();

  const { resources } = state();
  expect(new Set(resources.map(({ urn }) => urn)).size, "no resource twice").toBe(resources.length);
  expect(resources.filter(({ initErrors }) => initErrors?.length)).toEqual([]);
  for (const host of hosts) {
    const ids = resources
      .filter(({ type, inputs }) => type.startsWith("netdisk:index:") && inputs !== undefined)
      .map(({ id }) => id)
      .filter((id) => id !== undefined);
    // KIND/NAME/STACK.json: the folder is the id of what is claimed.
    const claims = (await on(host, "cd /var/lib/netdisk/claims && find . -type f -printf '%P\\n'")).split(
      "\n",
    );
    for (const claim of claims) expect(ids, `who owns ${claim} on the ${host}`).toContain(dirname(claim));
    expect(await on(host, "ls /var/lib/netdisk/intent 2>&1 || true"), "nothing unfinished").toMatch(
      /^$|No such file/,
    );
  }
  for (const name of ["make", "cryptsetup", "mkfs.xfs"]) {
    expect((await tryOn("client", `pgrep -x ${name}`)).code, `${name} runs no more`).toBe(1);
  }
}

describe.each(Object.entries(strikes))("%s", (_name, strike) => {
  beforeEach(async () => {
    setDisks({ testdisk });
    await up();
    await on("client", "rm -f /etc/netdisk/keys/second.key /var/lib/netdisk/headers/second.luks");
    await on("server", "rm -f /var/lib/netdisk/second.img");
  }, minutes(3));

  it(
    "during luksFormat",
    async () => {
      setDisks({ testdisk, second });
      const run = startPulumi("up", "--yes", "--skip-preview");
      await running("cryptsetup");
      strike(run);
      expect((await run.ended).code).not.toBe(0);
      await expectConverges();
      await mounted(second.mount.path);
    },
    minutes(6),
  );
});

describe("during the nbd build", () => {
  const build = () => on("client", "sha256sum /opt/nbd/sbin/nbd-client | cut -d' ' -f1");

  it.each(Object.entries(strikes))(
    "%s",
    async (_name, strike) => {
      const intact = await build();
      await on("client", "cp /bin/true /opt/nbd/sbin/new && mv /opt/nbd/sbin/new /opt/nbd/sbin/nbd-client");
      const run = startPulumi("up", "--yes", "--skip-preview");
      await running("make");
      strike(run);
      expect((await run.ended).code).not.toBe(0);
      await expectConverges();
      expect(await build()).toBe(intact);
    },
    minutes(8),
  );
});

afterEach(async () => {
  // A provider that outlives its engine would be an orphan on this machine.
  await pause(3);
  expect(providersOf(1)).toEqual([]);
});
