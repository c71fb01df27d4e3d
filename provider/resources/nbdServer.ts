/** What the types around nbd-server have in common: is it running, with what, and how it is made to read again. */
import { createHash } from "node:crypto";
import { nbdServerConfig, nbdServerIncludeDir, nbdServerRecord, nbdServerUnit } from "../../schema/paths";
import { ask, askFile } from "../fact";
import { type LoadRecord, parseLoadRecord } from "../facts/nbdServer";
import { isRunning, type SystemdUnit, systemdUnit } from "../facts/systemd";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import type { RunStep } from "../resource";

export interface Running {
  unit: SystemdUnit;
  active: boolean;
  /** What the running nbd-server was started with; undefined when it is not running or nobody noted it. */
  record: LoadRecord | undefined;
}

const lock = "nbd-server";

/** The cure of a note that its unit's script writes at each start. */
export const rewriteNotes = `Remove it, and have it written anew: \`systemctl restart ${nbdServerUnit}\`.`;

async function look(host: Host): Promise<Running> {
  const [unit, record] = await Promise.all([
    ask(host, systemdUnit, nbdServerUnit),
    askFile(host, nbdServerRecord, parseLoadRecord, rewriteNotes),
  ]);
  const active = isRunning(unit);
  // A record of an earlier start says nothing about the process that runs now.
  return { unit, active, record: active && record?.invocation === unit.invocationId ? record : undefined };
}

/** Another export's restart may be under way: what is not in order at once is looked at again after it. */
export async function lookAtNbdServer(host: Host): Promise<Running> {
  const first = await look(host);
  if (first.record) return first;
  await host.waitForLock(lock);
  return look(host);
}

export const digest = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

const showWhy = sh`{ journalctl --no-pager -o cat -n 20 -u ${nbdServerUnit} >&2; exit 1; }`;

/** Ends no session of an attached disk (templates/nbd-server.service.conf). */
export const restart = (): RunStep => ({
  do: "run",
  title: `systemctl restart ${nbdServerUnit}`,
  command: sh`systemctl restart ${nbdServerUnit} || ${showWhy}`,
  lock,
});

/**
 * Makes nbd-server read its files again, unless that has happened meanwhile: many exports made at the same
 * time need few restarts. `try-restart` leaves one that does not run alone, and one without any export may end: nbd-server
 * does not run with none, and the first export starts it.
 */
export const load = (verb: "restart" | "try-restart"): RunStep => ({
  do: "run",
  title: `systemctl ${verb} ${nbdServerUnit}`,
  command: sh`{
  echo "invocation $(systemctl show --property=InvocationID --value ${nbdServerUnit})"
  sha256sum ${nbdServerConfig} ${nbdServerIncludeDir}/*.conf
} 2>/dev/null | cmp -s - ${nbdServerRecord} && systemctl is-active -q ${nbdServerUnit} ||
  systemctl ${verb} ${nbdServerUnit} ||${verb === "restart" ? sh`` : sh` ! grep -qs '^\[' ${nbdServerIncludeDir}/*.conf ||`} ${showWhy}`,
  lock,
});
