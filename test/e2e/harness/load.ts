/** Work on a mounted disk of the client, and what shows that nobody disturbed it. */
import { expect } from "vitest";
import { install, on, startOn, tryOn } from "./lab";

export const installFio = (): Promise<string> => install("client", "fio");

export interface Fio {
  /** Number of rounds that were written and verified. */
  rounds(): number;
  /** Seconds that the longest read, write or fsync of the rounds after this one took. */
  longestAfter(round: number): number;
  /** Ends it after the present round; throws where a round failed. */
  stop(): Promise<void>;
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
  const rounds = () => Number([...running.said().matchAll(/^verified (\d+)$/gm)].at(-1)?.[1] ?? 0);
  return {
    rounds,
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
