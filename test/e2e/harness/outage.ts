/** A disk with `transport: session`, a writer on it, and what counts in an outage. */
import { expect } from "vitest";
import type { Row } from "./faultTable";
import { lab, mounted, on, tryOn } from "./lab";
import { type Disk, setDisks, testdisk } from "./project";
import { until } from "./run";
import { startMounted, up } from "./scenario";
import { goesOn, missing, startWriter, type Writer } from "./writer";

export const name = "outage";
export const path = `/mnt/${name}`;
export const sshConfig = `/etc/netdisk/tunnel/${name}.ssh_config`;
export const records = `${path}/records`;
const disk: Disk = { file: { size: "512 MiB" }, mount: { path }, transport: "session" };

/** What the kernel says of a disk that was told an error. All else in its log is allowed; the forwarded disk has errors. */
const damage = `dmesg | grep -E 'I/O error|Shutting down|orruption|blocked for more than' |
  grep -wE "blocked|$(basename "$(readlink -f /dev/netdisk/${name})")|$(basename "$(readlink -f /dev/mapper/${name})")"`;

const damages = async (): Promise<string[]> =>
  (await tryOn("client", damage)).output.split("\n").filter((line) => line !== "");

export interface Patient {
  writer: Writer;
  /** Does harm, ends it, and waits until the writer goes on; prints and returns the seconds from the repair until then. */
  survives(fault: string, harm: () => Promise<unknown>): Promise<number>;
  /** Does harm once, or as long as `again` says so, and notes a row of what it did. Returns the longest stall. */
  endures(fault: string, harm: () => Promise<unknown>, again?: (count: number) => boolean): Promise<number>;
  /** What the writer or the kernel was told. */
  errors(): Promise<string[]>;
  /** The acknowledged records that are not there when they are read from the server. */
  lost(): Promise<string[]>;
  /** Ends the writer; every record that was acknowledged is there. */
  conclude(): Promise<void>;
}

/** The disk, mounted, beside one that is forwarded. */
export async function startSession(): Promise<void> {
  await startMounted();
  setDisks({ testdisk, [name]: disk });
  await up();
  await mounted(path);
}

/** The disk in the other one's place, so that all that the kernel says is of it. */
export async function startSessionAlone(file: Disk["file"]): Promise<void> {
  setDisks({ [name]: { ...disk, file } });
  await up();
  await mounted(path);
}

export interface Examination {
  /** What the kernel says that is no harmless word. */
  complaints: () => Promise<string[]>;
  /** Takes the rows. */
  note: (row: Row) => void;
}

/** A long, thin link and a writer that waits for each of its fsyncs. */
export async function startPatient({
  complaints = damages,
  note = () => undefined,
}: Partial<Examination> = {}): Promise<Patient> {
  await lab("link", "shape", "80mbit", "15ms");
  const writer = startWriter(records);
  await until("the writer writes", 60, async () => writer.acknowledged() > 5);
  const errors = async (): Promise<string[]> => {
    const failure = writer.failure();
    return [...(failure === undefined ? [] : [failure]), ...(await complaints())];
  };
  const lost = async (): Promise<string[]> => {
    const acknowledged = writer.acknowledged();
    await on("client", "echo 3 >/proc/sys/vm/drop_caches");
    return missing(records, acknowledged);
  };
  async function survives(fault: string, harm: () => Promise<unknown>): Promise<number> {
    await harm();
    const repaired = Date.now();
    await goesOn(writer, 90);
    const stall = (Date.now() - repaired) / 1000;
    expect(await errors()).toEqual([]);
    console.log(`${fault}: errors 0, ${stall.toFixed(1)} s until it went on`);
    return stall;
  }
  return {
    writer,
    errors,
    lost,
    survives,
    async endures(fault, harm, again = (count) => count < 1) {
      let count = 0;
      let stall = 0;
      while (again(count)) stall = Math.max(stall, await survives(`${fault} ${++count}`, harm));
      const gone = await lost();
      const told = await errors();
      note({ fault, count, errors: told.length, lost: gone.length, stall });
      expect(told).toEqual([]);
      expect(gone).toEqual([]);
      return stall;
    },
    async conclude() {
      await writer.stop();
      expect(await errors()).toEqual([]);
      expect(await lost()).toEqual([]);
    },
  };
}

/** What the plugin says of itself. */
export interface Status {
  state: string;
  kind: string;
  reason: string;
  waiting: number;
  sessions: number;
}

/** `command`: how the disk's host is asked, where it is not the client as it is. */
export async function status(
  command: (line: string) => Promise<string> = (line) => on("client", line),
): Promise<Status> {
  const [found] = JSON.parse(await command(`netdisk status ${name} --json`)) as Status[];
  if (!found) throw new Error(`netdisk knows no disk ${name}`);
  return found;
}

/** SIGKILL of each process on the way. */
export const kills: Record<string, () => Promise<unknown>> = {
  ssh: () =>
    on("client", `kill -KILL $(pgrep -x -P $(systemctl show -P MainPID netdisk-session@${name}) ssh)`),
  "nbd-server": () =>
    on("server", `kill -KILL $(pgrep -f '^nbd-server -d -C /etc/netdisk/serve/${name}.conf')`),
  "the plugin": () => on("client", `kill -KILL $(systemctl show -P MainPID netdisk-session@${name})`),
};
