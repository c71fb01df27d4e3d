/**
 * What the client's kernel says while a disk with a session waits. Its own ring is short: the journal has it all. The lab's
 * kernel has no check of hung tasks (CONFIG_DETECT_HUNG_TASK), so its silence says nothing of them (docs/session.md).
 */
import { sh } from "../../../provider/host/sh";
import { on } from "./lab";

interface Allowed {
  line: RegExp;
  reason: string;
}

/** All that it may say in a fault of the link or of the server, each line with its reason. Everything else is an error. */
const allowed: readonly Allowed[] = [
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

/** What it may say besides where its connection to the plugin was ended on purpose. Else they would hide a crash. */
const allowedOfBreakage: readonly Allowed[] = [
  {
    line: /^block nbd\d+: (Receive|Send) (control|data) failed \(result -(32|104)\)$/,
    reason:
      "the connection to the plugin has ended, as where that is killed: what was on the way is kept for the next one",
  },
  {
    line: /^block nbd\d+: Request send failed, requeueing$/,
    reason: "the same of a request that was about to be sent",
  },
  {
    line: /^block nbd\d+: Dead connection, failed to find a fallback$/,
    reason:
      "a request came meanwhile: it waits for the next connection. Where none comes in time, an I/O error follows",
  },
  {
    line: /^block nbd\d+: reconnected socket$/,
    reason: "and that is the next one",
  },
];

/** The end of the log as it is now. */
export const kernelLogEnd = (): Promise<string> =>
  on("client", "journalctl --dmesg --boot --lines 0 --show-cursor | sed -n 's/^-- cursor: //p'");

/** The lines that nothing allows; `broken`: the kernel's connection was ended meanwhile. */
export function complaintsIn(log: string, broken = false): string[] {
  const fine = broken ? [...allowed, ...allowedOfBreakage] : allowed;
  return log.split("\n").filter((said) => said !== "" && !fine.some(({ line }) => line.test(said)));
}

/** What was said after that place, and where that ends. */
export async function kernelLogAfter(cursor: string): Promise<{ log: string; end: string }> {
  const said = await on(
    "client",
    sh`journalctl --dmesg --boot --quiet --output cat --after-cursor ${cursor} --show-cursor`.text,
  );
  const end = /^-- cursor: (.*)$/m;
  return { log: said.replace(end, ""), end: end.exec(said)?.[1] ?? cursor };
}
