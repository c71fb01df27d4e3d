/** A load of overwrites (stamps.pl): 16 MiB, made safe by one fsync, read back from the disk, and again. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { on } from "./lab";
import { startAcknowledging, type Writer } from "./writer";

const program = "/usr/local/sbin/stamps";

/** On its disk for certain: the client may lose its power next. */
export const installStamps = (): Promise<string> =>
  on(
    "client",
    `cat >${program} && chmod +x ${program} && sync`,
    readFileSync(join(__dirname, "stamps.pl"), "utf8"),
  );

/** Acknowledges rounds from `first` on; higher than any before, so that what an earlier load wrote is known as old. */
export const startStamps = (file: string, first = 1): Writer =>
  startAcknowledging("/run/stop-load", `${program} write ${file} ${first}`);

/** Bytes of the last acknowledged round that are not there. */
export async function lostStamps(file: string, load: Writer): Promise<number> {
  if (load.acknowledged() === 0) throw new Error(`no round of ${file} was acknowledged`);
  return 4096 * Number(await on("client", `${program} check ${file} ${load.acknowledged()}`));
}
