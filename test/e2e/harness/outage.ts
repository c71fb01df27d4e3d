/** A disk with `transport: session` beside the harness's own, a writer on it, and what counts in an outage. */
import { expect } from "vitest";
import { lab, mounted, on, tryOn } from "./lab";
import { type Disk, setDisks, testdisk } from "./project";
import { until } from "./run";
import { startMounted, up } from "./scenario";
import { firstMissing, goesOn, startWriter, type Writer } from "./writer";

export const name = "outage";
export const path = `/mnt/${name}`;
export const sshConfig = `/etc/netdisk/tunnel/${name}.ssh_config`;
const records = `${path}/records`;
const disk: Disk = { file: { size: "512 MiB" }, mount: { path }, transport: "session" };

/** What the kernel says of a disk that was told an error. All else in its log is allowed; the forwarded disk has errors. */
const damage = `dmesg | grep -E 'I/O error|Shutting down|orruption|blocked for more than' |
  grep -wE "blocked|$(basename "$(readlink -f /dev/netdisk/${name})")|$(basename "$(readlink -f /dev/mapper/${name})")"`;

export interface Patient {
  writer: Writer;
  /** Does harm, ends it, and waits until the writer goes on; prints and returns the seconds from the repair until then. */
  survives(fault: string, harm: () => Promise<unknown>): Promise<number>;
  /** No error reached the writer or the kernel. */
  unharmed(): Promise<void>;
  /** Ends the writer; every record that was acknowledged is there. */
  conclude(): Promise<void>;
}

/** The disk, mounted. */
export async function startSession(): Promise<void> {
  await startMounted();
  setDisks({ testdisk, [name]: disk });
  await up();
  await mounted(path);
}

/** A long, thin link and a writer that waits for each of its fsyncs. */
export async function startPatient(): Promise<Patient> {
  await lab("link", "shape", "80mbit", "15ms");
  const writer = startWriter(records);
  await until("the writer writes", 60, async () => writer.acknowledged() > 5);
  const unharmed = async (): Promise<void> => {
    expect(writer.failure()).toBeUndefined();
    expect((await tryOn("client", damage)).output).toBe("");
  };
  return {
    writer,
    unharmed,
    async survives(fault, harm) {
      await harm();
      const repaired = Date.now();
      await goesOn(writer, 90);
      const stall = (Date.now() - repaired) / 1000;
      await unharmed();
      console.log(`${fault}: errors 0, ${stall.toFixed(1)} s until it went on`);
      return stall;
    },
    async conclude() {
      await writer.stop();
      await unharmed();
      await on("client", "echo 3 >/proc/sys/vm/drop_caches");
      expect(await firstMissing(records, writer.acknowledged())).toBeUndefined();
    },
  };
}

/** SIGKILL of each process on the way. */
export const kills: Record<string, () => Promise<unknown>> = {
  ssh: () =>
    on("client", `kill -KILL $(pgrep -x -P $(systemctl show -P MainPID netdisk-session@${name}) ssh)`),
  "nbd-server": () =>
    on("server", `kill -KILL $(pgrep -f '^nbd-server -d -C /etc/netdisk/serve/${name}.conf')`),
  "the plugin": () => on("client", `kill -KILL $(systemctl show -P MainPID netdisk-session@${name})`),
};
