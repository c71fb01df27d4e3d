/** Somebody who uses the disk: appends records, each acknowledged only after its fsync. */
import { on, startOn } from "./lab";
import { type Ended, until } from "./run";

const record = (number: number) => `record ${String(number).padStart(8, "0")}`;
/** With its end of line. */
export const recordBytes = record(0).length + 1;

export interface Writer {
  /** Number of the last record whose fsync succeeded. */
  acknowledged(): number;
  /** What it said when a write failed, or how it ended if nobody has stopped it; undefined as long as all is well. */
  failure(): string | undefined;
  /** Ends the writer and waits for its end. */
  stop(): Promise<void>;
  /** Resolves when the writer is gone, whatever ended it. */
  gone: Promise<unknown>;
}

/** Runs a command on the client until it is stopped, cut off, or fails; it has to end when `stop` appears. */
export function startAcknowledging(stop: string, command: string): Writer {
  const running = startOn("client", command);
  let stopped = false;
  let end: Ended | undefined;
  void running.ended.then((it) => (end = it));
  const complaint = () => /^.*(?:failed at|rror|lost).*$/m.exec(running.said())?.[0];
  // The way to it is cut off, somebody has killed it: nobody would miss what it does no more.
  const endedBadly = () =>
    end && !(stopped && end.code === 0)
      ? `it ended by itself (${end.code}): ${running.said().trimEnd().split("\n").at(-1)}`
      : undefined;
  return {
    acknowledged: () => Number([...running.said().matchAll(/^acknowledged (\d+)$/gm)].at(-1)?.[1] ?? 0),
    failure: () => complaint() ?? endedBadly(),
    gone: running.ended,
    async stop() {
      stopped = true;
      await on("client", `touch ${stop}`);
      await running.ended;
      await on("client", `rm ${stop}`);
    },
  };
}

/** Appends to the file on the client about ten times a second. Nobody's stand-in for dd is meant for it (strike.ts). */
export const startWriter = (file: string): Writer =>
  startAcknowledging(
    "/run/stop-writer",
    `i=0; while test ! -e /run/stop-writer; do i=$((i+1));
     printf 'record %08d\\n' $i | /usr/bin/dd of=${file} oflag=append conv=notrunc,fsync status=none || { echo "failed at $i"; exit 1; };
     echo "acknowledged $i"; done`,
  );

/** Waits until it goes on after what held it up; one record may have been on its way already. */
export async function goesOn(writer: Writer, seconds: number): Promise<void> {
  const goal = writer.acknowledged() + 2;
  await until("the writer goes on", seconds, async () => {
    const why = writer.failure();
    if (why !== undefined) throw new Error(`the writer does not go on: ${why}`);
    return writer.acknowledged() >= goal;
  });
}

/** The acknowledged records that are not in the file. */
export async function missing(file: string, acknowledged: number): Promise<string[]> {
  const there = new Set((await on("client", `cat ${file}`)).split("\n"));
  return Array.from({ length: acknowledged }, (_, i) => record(i + 1)).filter((it) => !there.has(it));
}

/** The first acknowledged record that is not in the file, or undefined when all are there. */
export const firstMissing = async (file: string, acknowledged: number): Promise<string | undefined> =>
  (await missing(file, acknowledged))[0];
