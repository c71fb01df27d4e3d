/** What the types around nbd-server have in common: is it running, with what, and how it is made to read again. */
import { createHash } from "node:crypto";
import { nbdServerRecord, nbdServerUnit } from "../../schema/paths";
import { ask } from "../fact";
import { type LoadRecord, parseLoadRecord } from "../facts/nbdServer";
import { systemdUnit, type SystemdUnit } from "../facts/systemd";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import type { RunStep } from "../resource";

export interface Running {
  unit: SystemdUnit;
  active: boolean;
  /** What the running nbd-server was started with; undefined when it is not running or nobody noted it. */
  record: LoadRecord | undefined;
}

export async function lookAtNbdServer(host: Host): Promise<Running> {
  const [unit, noted] = await Promise.all([
    ask(host, systemdUnit, nbdServerUnit),
    host.readFile(nbdServerRecord),
  ]);
  const active = unit.activeState === "active" || unit.activeState === "reloading";
  const record = noted && parseLoadRecord(noted.toString());
  // A record of an earlier start says nothing about the process that runs now.
  return { unit, active, record: active && record?.invocation === unit.invocationId ? record : undefined };
}

export const digest = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

/** Restarts end no session of an attached disk (templates/nbd-server.service.conf). */
export function restart(verb: "restart" | "try-restart" = "restart"): RunStep {
  return {
    do: "run",
    title: `systemctl ${verb} ${nbdServerUnit}`,
    command: sh`systemctl ${verb} ${nbdServerUnit} || { journalctl --no-pager -o cat -n 20 -u ${nbdServerUnit} >&2; exit 1; }`,
    lock: "nbd-server",
  };
}
