/**
 * Several disks and stacks on one server: fio verifies what it writes on a disk, fsync by fsync, while its neighbours
 * come, change and go. It gets no error, keeps its connection, and no request of it waits for 2 s.
 */
import { beforeAll, describe, expect } from "vitest";
import { mounted, on, tryOn } from "./harness/lab";
import { type Fio, installFio, kernelErrors, mountId, startFio } from "./harness/load";
import { addStack, defaultStack, pulumi, setDisks, testdisk, type Disk } from "./harness/project";
import { until } from "./harness/run";
import { expectNoChanges, ladder, startMounted, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const path = testdisk.mount.path;
const second: Disk = { file: { size: "320 MiB" }, mount: { path: "/mnt/second" } };
const changed: Disk = { file: { size: "448 MiB" }, mount: { path: "/mnt/elsewhere" } };
/** A stack of its own, for the same two hosts. */
const neighbour = "neighbour";
const other: Disk = { file: { size: "320 MiB" }, mount: { path: "/mnt/other" } };

/** The kernel's connection and the mount: another one is another session. */
const session = async (): Promise<string> => {
  const device = '/sys/block/"$(basename "$(readlink -f /dev/netdisk/testdisk)")"/pid';
  return `nbd-client ${await on("client", `cat ${device}`)}, mount ${await mountId(path)}`;
};

const isThere = async (path: string): Promise<boolean> =>
  (await tryOn("client", `mountpoint -q ${path}`)).code === 0;

beforeAll(async () => {
  await startMounted();
  await installFio();
  await addStack(neighbour, { ...defaultStack, disks: { other } });
}, minutes(30));

describe("a disk under load, and its neighbours", () => {
  const step = ladder();
  let fio: Fio;
  let before = "";

  /** What is under way when `act` begins or ends is counted, too. */
  async function undisturbed(what: string, act: () => Promise<unknown>): Promise<void> {
    const first = fio.rounds();
    await act();
    const last = fio.rounds();
    await until("fio goes on", 600, async () => fio.rounds() > last);
    const longest = fio.longestAfter(first);
    console.log(`${what}: ${fio.rounds() - first} rounds, longest request ${longest.toFixed(2)} s`);
    expect(longest).toBeLessThan(2);
    expect(await session()).toBe(before);
    expect(await kernelErrors()).toBe("");
  }

  step(
    "fio runs",
    async () => {
      before = await session();
      fio = startFio(path, "--size=4M --direct=1 --fsync=4");
      await until("the first round is verified", 600, async () => fio.rounds() > 0);
      await undisturbed("nothing else", () => until("three rounds", 600, async () => fio.rounds() > 3));
    },
    minutes(20),
  );

  step(
    "another stack makes its disk",
    () =>
      undisturbed("another stack comes", async () => {
        await up("--stack", neighbour);
        await mounted(other.mount.path);
      }),
    minutes(20),
  );

  step(
    "a second disk comes",
    () =>
      undisturbed("a second disk comes", async () => {
        setDisks({ testdisk, second });
        await up();
        await mounted(second.mount.path);
      }),
    minutes(20),
  );

  step(
    "it grows and moves to another mount point",
    () =>
      undisturbed("it changes", async () => {
        setDisks({ testdisk, second: changed });
        await up();
        await mounted(changed.mount.path);
        const size = await on("client", "blockdev --getsize64 /dev/netdisk/second");
        expect(Number(size)).toBe(448 * 2 ** 20);
      }),
    minutes(20),
  );

  step(
    "it goes, and the other stack's disk stays",
    () =>
      undisturbed("it goes", async () => {
        setDisks({ testdisk });
        await up();
        expect(await isThere(changed.mount.path)).toBe(false);
        await mounted(other.mount.path);
      }),
    minutes(20),
  );

  step(
    "the other stack goes, and takes nothing with it that both have",
    () =>
      undisturbed("the other stack goes", async () => {
        const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview", "--stack", neighbour]);
        expect(code, output).toBe(0);
        expect(await isThere(other.mount.path)).toBe(false);
        await expectNoChanges();
      }),
    minutes(20),
  );

  step(
    "no round of fio failed",
    async () => {
      await fio.stop();
    },
    minutes(3),
  );
});
