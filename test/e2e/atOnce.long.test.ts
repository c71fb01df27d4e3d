/** Two runs at once on the same two hosts, which share packages, builds, nbd-server and accounts; and a destroy while the link is cut. */
import { beforeAll, describe, expect } from "vitest";
import { hosts, lab, mounted, on } from "./harness/lab";
import { addStack, defaultStack, pulumi, type Disk } from "./harness/project";
import { ladder, prepared } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

const disks: Record<string, Disk> = {
  one: { file: { size: "320 MiB" }, mount: { path: "/mnt/one" } },
  two: { file: { size: "320 MiB" }, mount: { path: "/mnt/two" }, transport: "forward" },
};
const stacks = { one: [], two: ["--stack", "two"] } as const;
const names = Object.keys(stacks) as (keyof typeof stacks)[];

const both = (...args: string[]) =>
  Promise.all(names.map((name) => pulumi([...args, "--yes", "--skip-preview", ...stacks[name]])));

async function bothSucceed(...args: string[]): Promise<void> {
  for (const { code, output } of await both(...args)) expect.soft(code, output).toBe(0);
}

beforeAll(async () => {
  await prepared({ ...defaultStack, disks: { one: disks.one! } });
  await addStack("two", { ...defaultStack, disks: { two: disks.two! } });
}, minutes(40));

describe("two stacks at once", () => {
  const step = ladder();
  let sum = "";

  step(
    "make their disks, each for itself and both what they share",
    async () => {
      await bothSucceed("up");
      for (const name of names) await mounted(`/mnt/${name}`);
    },
    minutes(20),
  );

  step(
    "leave nothing to do",
    async () => {
      for (const name of names) {
        const { code, output } = await pulumi(["preview", "--expect-no-changes", ...stacks[name]]);
        expect(code, output).toBe(0);
      }
    },
    minutes(5),
  );

  step(
    "a destroy refuses while the link is cut, and says how much is not written and what to do",
    async () => {
      sum = await on("client", "head -c 8M /dev/urandom | tee /mnt/one/unsafe | sha256sum");
      await lab("link", "cut");
      try {
        const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
        expect(code, output).not.toBe(0);
        // At once: the session has not noticed it yet, and what reads the disk waits.
        expect(output).toContain("the server of /dev/netdisk/one is out of reach: its session is parked");
        expect(output).toMatch(
          /IN_USE: .*the disk one cannot be taken down now: .*netdisk abort one on this host/s,
        );
      } finally {
        await lab("link", "heal");
      }
      await mounted("/mnt/one");
      await on("client", "sync -f /mnt/one && echo 3 >/proc/sys/vm/drop_caches");
      expect(await on("client", "sha256sum </mnt/one/unsafe")).toBe(sum);
    },
    minutes(10),
  );

  step(
    "go, and leave nothing behind but what is the disks'",
    async () => {
      await bothSucceed("destroy");
      for (const host of hosts) {
        expect(await on(host, "find /var/lib/netdisk/claims -type f")).toBe("");
        expect(await on(host, "ls /etc/systemd/system | grep netdisk || test $? = 1")).toBe("");
      }
      expect(await on("server", "ls /etc/nbd-server/conf.d")).toBe("");
      expect(await on("client", "cat /sys/block/nbd*/size | sort -u")).toBe("0");
    },
    minutes(10),
  );

  step(
    "come back at once with the same data",
    async () => {
      await bothSucceed("up");
      for (const name of names) await mounted(`/mnt/${name}`);
      expect(await on("client", "sha256sum </mnt/one/unsafe")).toBe(sum);
    },
    minutes(10),
  );
});
