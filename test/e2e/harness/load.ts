/** Work on a mounted disk of the client, and what shows that nobody disturbed it. */
import { expect } from "vitest";
import { install, on, startOn, tryOn } from "./lab";
import { until } from "./run";

export const installFio = (): Promise<string> => install("client", "fio");

export interface Fio {
  /** Number of rounds that were written and verified. */
  rounds(): number;
  /** Seconds that the longest read, write or fsync of the rounds after this one took. */
  longestAfter(round: number): number;
  /** What it said when a round failed; undefined as long as none did. */
  failure(): string | undefined;
  /** Ends it after the present round; throws where a round failed. */
  stop(): Promise<void>;
  /** Ends it where something else has failed already: a second one on the same file would look like corruption. */
  abandon(): Promise<void>;
}

interface Latency {
  lat_ns: { max: number };
}

/** What fio says of one round, in seconds. */
function longestOf(report: string): number {
  const { jobs } = JSON.parse(report) as { jobs: { read: Latency; write: Latency; sync: Latency }[] };
  const longest = jobs.flatMap(({ read, write, sync }) =>
    [read, write, sync].map(({ lat_ns }) => lat_ns.max),
  );
  return Math.max(...longest) / 1e9;
}

/**
 * fio writes and verifies, round after round, until it is told to stop; the first error ends it. `options` come last:
 * `--direct=1` sends each read and write to the server, and so makes longestAfter mean something.
 */
export function startFio(path: string, options = ""): Fio {
  const command = `fio --name=verify --filename=${path}/fio --size=16M --bs=16k --rw=randwrite --ioengine=psync --fsync=32 --verify=crc32c --verify_fatal=1 --output-format=json --output=/tmp/fio.json ${options}`;
  const running = startOn(
    "client",
    `rounds=0; while test ! -e /run/stop-fio; do ${command} 2>/tmp/fio.log || { cat /tmp/fio.log /tmp/fio.json; exit 1; }; rounds=$((rounds+1)); sed -n '/^{/,$p' /tmp/fio.json; echo "verified $rounds"; done`,
  );
  let failure: string | undefined;
  void running.ended.then(({ code, output }) => {
    if (code !== 0) failure = output;
  });
  const rounds = () => Number([...running.said().matchAll(/^verified (\d+)$/gm)].at(-1)?.[1] ?? 0);
  return {
    rounds,
    failure: () => failure,
    longestAfter(round) {
      const reports = running.said().split(/^verified \d+$/m);
      return Math.max(...reports.slice(round, rounds()).map(longestOf));
    },
    async stop() {
      await on("client", "touch /run/stop-fio");
      const { code, output } = await running.ended;
      await on("client", "rm /run/stop-fio");
      expect(code, output).toBe(0);
    },
    async abandon() {
      await tryOn("client", "pkill -KILL -x fio");
      await running.ended;
    },
  };
}

/** Does it while fio is at work on a path, and waits until fio has verified a round that it began afterwards. */
export async function underFio(path: string, act: () => Promise<void>): Promise<void> {
  const fio = startFio(path);
  const verified = (rounds: number) =>
    until(`fio has verified ${rounds} rounds`, 900, async () => {
      expect(fio.failure()).toBeUndefined();
      return fio.rounds() >= rounds;
    });
  try {
    await verified(1);
    await act();
    await verified(fio.rounds() + 2);
  } catch (error) {
    await fio.abandon();
    throw error;
  }
  await fio.stop();
}

export interface Copy {
  /** Waits for its end: it succeeded, and what the server has is what was copied. */
  verify(): Promise<void>;
}

/** Copies so many MiB at random to a file of the client, and makes sure of them. */
export async function startCopy(file: string, size: number): Promise<Copy> {
  const source = "/root/copied";
  await on("client", `head -c ${size}M /dev/urandom >${source}`);
  const { ended } = startOn("client", `dd if=${source} of=${file} bs=1M conv=fsync status=none`);
  return {
    async verify() {
      const { code, output } = await ended;
      expect(code, output).toBe(0);
      await on("client", `echo 3 >/proc/sys/vm/drop_caches && cmp ${source} ${file} && rm ${source}`);
    },
  };
}

/** Changes when a path was unmounted and mounted again. */
export const mountId = (path: string): Promise<string> => on("client", `findmnt -n -o ID ${path}`);

/** What the client's kernel complains of since its start: lost requests, a file system that shut itself down. */
export const kernelErrors = async (): Promise<string> =>
  (
    await tryOn(
      "client",
      "journalctl --dmesg --boot | grep -E 'error.*(WRITE|FLUSH|dm-)|XFS.*([Ee]rror|[Ss]hut)'",
    )
  ).output;
