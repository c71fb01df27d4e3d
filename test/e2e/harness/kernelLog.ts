/** What the client's kernel says while a disk with a session waits. Its own ring is short: the journal has it all. */
import { sh } from "../../../provider/host/sh";
import { on } from "./lab";

/** All that it may say in a fault of the link or of the server, each line with its reason. Everything else is an error. */
const allowed: readonly { line: RegExp; reason: string }[] = [
  {
    line: /^block nbd\d+: Possible stuck request \S+: control \(\w+@\d+,\d+B\)\. Runtime \d+ seconds$/,
    reason:
      "a request has waited for one io_timeout (10 s) more: the kernel says so, and lets it wait for the next one",
  },
  {
    line: /^\w+ \(\d+\): drop_caches: 3$/,
    reason: "the test itself: what it reads has to come from the server",
  },
];

/** The end of the log as it is now. */
export const kernelLogEnd = (): Promise<string> =>
  on("client", "journalctl --dmesg --boot --lines 0 --show-cursor | sed -n 's/^-- cursor: //p'");

/** The lines after that place that nothing allows. */
export async function complaintsAfter(cursor: string): Promise<string[]> {
  const log = await on(
    "client",
    sh`journalctl --dmesg --boot --quiet --output cat --after-cursor ${cursor}`.text,
  );
  return log.split("\n").filter((said) => said !== "" && !allowed.some(({ line }) => line.test(said)));
}
