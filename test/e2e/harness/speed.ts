/** How fast a mounted disk of the client is, in the terms of people who wait for it, and what the link would carry. */
import { on, startOn } from "./lab";

/** So much that TCP's slow start, some 2 s, is little of what is measured. */
const bytes = 2 ** 30;
const small = 2000;
const appends = 150;
const random = 5000;

/** Of random bytes, in memory: reading it costs nothing. */
export const source = "/dev/shm/speed";
export const makeSource = (): Promise<string> => on("client", `head -c ${bytes} /dev/urandom >${source}`);

/** MB/s that the link carries, as iperf3 has it without its first two seconds; one connection does not fill a long one so soon. */
export async function linkRate(direction: "to the server" | "from the server"): Promise<number> {
  const listening = startOn("server", "iperf3 --server --one-off");
  const reverse = direction === "from the server" ? "--reverse" : "";
  const report = await on(
    "client",
    `for i in $(seq 20); do iperf3 --client 10.77.0.2 --json --time 10 --omit 2 --parallel 4 ${reverse} && exit 0 || sleep 0.5; done; exit 1`,
  );
  await listening.ended;
  const { end } = JSON.parse(report.slice(report.lastIndexOf('{\n\t"start"'))) as {
    end: { sum_received: { bits_per_second: number } };
  };
  return end.sum_received.bits_per_second / 8e6;
}

/** Seconds that a command takes on the client. */
async function seconds(command: string): Promise<number> {
  const said = await on(
    "client",
    `begin=$(date +%s%N); { ${command}
} >/dev/null || exit 1; echo $((($(date +%s%N) - begin) / 1000000))`,
  );
  return Number(said) / 1000;
}

/** Nothing is in the memory of either host. */
async function cold(): Promise<void> {
  await on("client", "sync; echo 3 >/proc/sys/vm/drop_caches");
  await on("server", "sync; echo 3 >/proc/sys/vm/drop_caches");
}

async function coldly(command: string): Promise<number> {
  await cold();
  return seconds(command);
}

export interface Sequential {
  /** MB/s, the fsync at the end included. */
  write: number;
  /** MB/s in calls of 1 MiB, and of 32 KiB. */
  read: number;
  readSmallCalls: number;
  /** Per second: 4 KiB appended to a file, and fsync. */
  appends: number;
}

export async function sequential(path: string): Promise<Sequential> {
  const file = `${path}/sequential`;
  const rate = (elapsed: number) => bytes / 1e6 / elapsed;
  const write = rate(await seconds(`dd if=${source} of=${file} bs=1M conv=fsync status=none`));
  const coldRead = (call: string) => coldly(`dd if=${file} of=/dev/null bs=${call} status=none`);
  const readSmallCalls = rate(await coldRead("32k"));
  const read = rate(await coldRead("1M"));
  await on("client", `cmp ${source} ${file} && rm ${file}`);
  const append = `open F, ">>", "${path}/appended" or die; for (1..${appends}) { syswrite(F, "x" x 4096) == 4096 and F->sync or die $! }`;
  return {
    ...{ write, read, readSmallCalls },
    appends: appends / (await seconds(`perl -MIO::Handle -e '${append}'`)),
  };
}

export interface Small {
  /** Seconds for 2,000 files of 4 KiB, until all are safe; to read them cold, by one reader and by 16. */
  create: number;
  readByOne: number;
  readBySixteen: number;
  /** Seconds for 5,000 writes of 4 KiB at random places of a file, until all are safe. */
  random: number;
}

export async function smallFiles(path: string): Promise<Small> {
  const folder = `${path}/small`;
  await on("client", `mkdir ${folder} && sync`);
  const make = `for (1..${small}) { open F, ">", "${folder}/$_" or die; print F "x" x 4096 or die; close F or die $! }`;
  const create = await seconds(`perl -e '${make}' && sync -f ${folder}`);
  const readByOne = await coldly(`cat ${folder}/*`);
  const readBySixteen = await coldly(`ls ${folder} | xargs -P 16 -n 125 sh -c 'cd ${folder} && cat "$@"' -`);
  const job = `--name=random --filename=${path}/random --size=64M --rw=randwrite --bs=4k --number_ios=${random} --ioengine=psync --end_fsync=1`;
  // Laid out beforehand: what counts is to overwrite.
  await on("client", `dd if=/dev/zero of=${path}/random bs=1M count=64 conv=fsync status=none`);
  const elapsed = await seconds(`fio ${job}`);
  await on("client", `rm -r ${folder} ${path}/random`);
  return { create, readByOne, readBySixteen, random: elapsed };
}
