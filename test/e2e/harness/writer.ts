/** Somebody who uses the disk: appends records, each acknowledged only after its fsync. */
import { on, startOn } from "./lab";
import { until } from "./run";

const record = (number: number) => `record ${String(number).padStart(8, "0")}`;

export interface Writer {
  /** Number of the last record whose fsync succeeded. */
  acknowledged(): number;
  /** What the writer said when a write failed; undefined as long as none did. */
  failure(): string | undefined;
  /** Ends the writer and waits for its end. */
  stop(): Promise<void>;
  /** Resolves when the writer is gone, whatever ended it. */
  gone: Promise<unknown>;
}

/** Appends to the file on the client about ten times a second until it is stopped, cut off, or a write fails. */
export function startWriter(file: string): Writer {
  const running = startOn(
    "client",
    `i=0; while test ! -e /run/stop-writer; do i=$((i+1));
     printf 'record %08d\\n' $i | dd of=${file} oflag=append conv=notrunc,fsync status=none || { echo "failed at $i"; exit 1; };
     echo "acknowledged $i"; done`,
  );
  const last = () => {
    const found = [...running.said().matchAll(/^acknowledged (\d+)$/gm)].at(-1);
    return found ? Number(found[1]) : 0;
  };
  return {
    acknowledged: last,
    failure: () => /^.*(?:failed at|rror).*$/m.exec(running.said())?.[0],
    gone: running.ended,
    async stop() {
      await on("client", "touch /run/stop-writer");
      await running.ended;
      await on("client", "rm /run/stop-writer");
    },
  };
}

/** Waits until it goes on after what held it up; one record may have been on its way already. */
export async function goesOn(writer: Writer, seconds: number): Promise<void> {
  const goal = writer.acknowledged() + 2;
  await until("the writer goes on", seconds, async () => writer.acknowledged() >= goal);
}

/** The acknowledged records that are not in the file. */
export async function missing(file: string, acknowledged: number): Promise<string[]> {
  const there = new Set((await on("client", `cat ${file}`)).split("\n"));
  const wanted = Array.from({ length: acknowledged }, (_, index) => record(index + 1));
  return wanted.filter((one) => !there.has(one));
}

/** The first of them, or undefined when all are there. */
export const firstMissing = async (file: string, acknowledged: number): Promise<string | undefined> =>
  (await missing(file, acknowledged))[0];
