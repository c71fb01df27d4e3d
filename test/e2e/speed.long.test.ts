/**
 * What a disk's user waits for on a long, thin link, by `transport: forward` and by `session`, beside what the link itself
 * carries at that time. `npm run bench:speed` puts the tables into docs/benchmarks.md.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeSection } from "../../tools/benchmarksPage";
import { hosts, install, lab, mounted, restartClient } from "./harness/lab";
import { setDisks, testdisk, type Disk } from "./harness/project";
import { startMounted, up } from "./harness/scenario";
import { linkRate, makeSource, sequential, type Sequential, type Small, smallFiles } from "./harness/speed";

const minutes = (n: number) => n * 60_000;
const size = "1536 MiB";
const paths = { forward: "/mnt/forward", session: "/mnt/session" } as const;
type Transport = keyof typeof paths;
const transports = Object.keys(paths) as Transport[];
const disks = Object.fromEntries(
  transports.map((transport): [string, Disk] => [
    transport,
    { file: { size }, mount: { path: paths[transport] }, transport },
  ]),
);

const links: string[] = [];
const perLink: string[] = [];
const perTransport: string[] = [];
const row = (...cells: string[]): string => `| ${cells.join(" | ")} |`;
const rate = (megabytes: number): string => megabytes.toFixed(2);

beforeAll(async () => {
  await startMounted();
  setDisks({ testdisk, ...disks });
  await up();
  // dm-crypt takes a fiftieth of the memory for all its devices together, which of 1 GiB is too little to fill the link.
  await restartClient("3G");
  for (const transport of transports) await mounted(paths[transport]);
  for (const host of hosts) await install(host, "fio", "iperf3");
  await makeSource();
}, minutes(30));

afterAll(() => {
  const text = [
    row("link", "transport", "write + fsync", "cold read", "in 32 KiB calls", "4 KiB append + fsync"),
    row("---", "---", "---", "---", "---", "---"),
    ...perLink,
    "",
    ...links,
    "",
    row(
      "80 Mbit/s, 30 ms",
      "2,000 small files + sync",
      "cold read of them, 1 reader / 16",
      "5,000 random writes of 4 KiB + fsync",
    ),
    row("---", "---", "---", "---"),
    ...perTransport,
  ].join("\n");
  console.log(text);
  if (process.env.NETDISK_BENCH_WRITE === "1") writeSection("speed", text);
});

/** Seconds that both hosts themselves need for an fsync'd append; a fourth round trip would be more. */
const hostsOwn = 0.025;

describe.each([
  { delay: "15ms", roundTrip: 0.03 },
  { delay: "50ms", roundTrip: 0.1 },
])("on 80 Mbit/s with a round trip of $roundTrip s", ({ delay, roundTrip }) => {
  const name = `80 Mbit/s, ${roundTrip * 1000} ms`;
  let sent = 0;
  let received = 0;

  beforeAll(async () => {
    await lab("link", "shape", "80mbit", delay);
    sent = await linkRate("to the server");
    received = await linkRate("from the server");
    links.push(
      `On the link with ${roundTrip * 1000} ms iperf3 carried ${rate(sent)} MB/s to the server and ${rate(received)} MB/s back.`,
    );
  }, minutes(5));

  it.each(transports)(
    "%s: sequential work at the link's rate, an fsync'd append within three round trips",
    async (transport) => {
      const found: Sequential = await sequential(paths[transport]);
      const trips = 1 / found.appends / roundTrip;
      perLink.push(
        row(
          name,
          transport,
          `${rate(found.write)} MB/s`,
          `${rate(found.read)} MB/s`,
          `${rate(found.readSmallCalls)} MB/s`,
          `${found.appends.toFixed(1)}/s (${trips.toFixed(1)} round trips)`,
        ),
      );
      expect(found.write / sent, "write").toBeGreaterThanOrEqual(0.95);
      expect(found.read / received, "read").toBeGreaterThanOrEqual(0.95);
      expect(found.readSmallCalls / received, "read in 32 KiB calls").toBeGreaterThanOrEqual(0.95);
      expect(1 / found.appends, "append").toBeLessThanOrEqual(3 * roundTrip + hostsOwn);
    },
    minutes(20),
  );

  if (roundTrip === 0.03)
    it.each(transports)(
      "%s: small files and random writes",
      async (transport) => {
        const found: Small = await smallFiles(paths[transport]);
        perTransport.push(
          row(
            transport,
            `${found.create.toFixed(1)} s`,
            `${found.readByOne.toFixed(1)} s / ${found.readBySixteen.toFixed(1)} s`,
            `${found.random.toFixed(1)} s`,
          ),
        );
        // A reader alone waits a round trip for each file, sixteen of them wait side by side.
        expect(found.readBySixteen).toBeLessThan(found.readByOne / 2);
      },
      minutes(10),
    );
});
