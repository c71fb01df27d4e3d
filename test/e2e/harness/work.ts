/** Users of a disk at work, and what is left of what they were told is safe. */
import { on } from "./lab";
import { until } from "./run";
import { lostStamps, startStamps } from "./stamps";
import { missing, recordBytes, startWriter, type Writer } from "./writer";

export interface Work {
  /** Whose waits are measured. */
  writer: Writer;
  /** It and all others. */
  users: readonly Writer[];
  /** What the first of them said that was told an error, or found something lost. */
  failure(): string | undefined;
  /** Bytes of acknowledged records that are not on the disk. */
  lostRecords(): Promise<number>;
  /** The same, and bytes of the load once that is over: until then it looks by itself. Until the next work begins. */
  lost(): Promise<number>;
  /** Ends what still runs. */
  stop(): Promise<void>;
  /** Resolves when nothing runs any more, whatever ended it. */
  gone: Promise<unknown>;
}

/** A writer of records; `number` tells the works on one disk apart. Resolves when it writes. */
export async function startWriting(path: string, number = 1): Promise<Work> {
  const records = `${path}/records-${number}`;
  const writer = startWriter(records);
  await until("the writer writes", 120, async () => writer.acknowledged() > 5);
  const lostRecords = async (): Promise<number> => {
    await on("client", "echo 3 >/proc/sys/vm/drop_caches");
    return recordBytes * (await missing(records, writer.acknowledged())).length;
  };
  return {
    writer,
    users: [writer],
    failure: () => writer.failure(),
    lostRecords,
    lost: lostRecords,
    stop: () => writer.stop(),
    gone: writer.gone,
  };
}

/** A writer, and a load of overwrites beside it. Resolves when something of both is acknowledged. */
export async function startWork(path: string, number = 1): Promise<Work> {
  const writing = await startWriting(path, number);
  const blocks = `${path}/blocks`;
  const load = startStamps(blocks, number * 10_000);
  await until("the load has written a round", 120, async () => load.acknowledged() > 0);
  let over = false;
  void load.gone.then(() => (over = true));
  return {
    ...writing,
    users: [...writing.users, load],
    failure: () => writing.failure() ?? load.failure(),
    lost: async () => (await writing.lostRecords()) + (over ? await lostStamps(blocks, load) : 0),
    async stop() {
      await Promise.all([writing.stop(), load.stop()]);
    },
    gone: Promise.all([writing.gone, load.gone]),
  };
}
