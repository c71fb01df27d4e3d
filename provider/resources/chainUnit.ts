/** What the units of the disk's chain have in common: a script and a unit file, started and stopped by systemd. */
import { dirname } from "node:path";
import type { Transport } from "../../schema/fields";
import { unitDir, unitScript } from "../../schema/paths";
import { ask } from "../fact";
import { isRunning, systemdUnit } from "../facts/systemd";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import { type RunStep, type Step, type WriteStep, writeStep } from "../resource";
import { render, type TemplateValue } from "../template";

export interface ChainUnit {
  /** `netdisk-open@photos.service` */
  unit: string;
  /** `/usr/local/lib/netdisk/open@photos`, where the unit runs one. */
  script?: string;
  files: readonly WriteStep[];
}

/** `step` is the unit's word; the templates are `TEMPLATE.sh` and `netdisk-TEMPLATE.service`. */
export function chainUnit(
  step: string,
  name: string,
  unit: string,
  values: { script: Record<string, TemplateValue>; service: Record<string, TemplateValue> },
  template = step,
): ChainUnit {
  const script = unitScript(step, name);
  return {
    unit,
    script,
    files: [
      writeStep(script, render(`${template}.sh`, { name, unit, ...values.script }), 0o755),
      writeStep(
        `${unitDir}/${unit}`,
        render(`netdisk-${template}.service`, { name, script, ...values.service }),
      ),
    ],
  };
}

/** A unit without a script of its own. */
export function unitOnly(unit: string, template: string, values: Record<string, TemplateValue>): ChainUnit {
  const path = `${unitDir}/${unit}`;
  const content = render(template, values);
  return { unit, files: [writeStep(path, content)] };
}

/**
 * `TimeoutStopSec=` of what waits until the disk is down. By hand, a session's disk waits for a server that is out of reach;
 * in a shutdown its scripts give up by themselves.
 */
export const stopTimeout = (transport: Transport, forwarded: number): number | "infinity" =>
  transport === "session" ? "infinity" : forwarded;

export interface ChainUnitState {
  /** True when any of the files is there, ours or not. */
  exists: boolean;
  /** True when systemd runs exactly our text, but for what others say of more units than this one. */
  installed: boolean;
  active: boolean;
  /** What others say of more units than this one. */
  note?: string;
}

/** Where `systemctl edit` and `set-property` put what changes this one unit. */
const dropIns = (unit: string): string[] =>
  [unitDir, "/run/systemd/system", "/etc/systemd/system.control", "/run/systemd/system.control"].map(
    (directory) => `${directory}/${unit}.d`,
  );

/** Of an observation: all that is to be said, where there is something. */
export const noteOf = (...said: (string | undefined)[]): { note?: string } => {
  const note = said.filter((text) => text !== undefined).join("; ");
  return note === "" ? {} : { note };
};

export async function observeUnit(host: Host, { unit, files }: ChainUnit): Promise<ChainUnitState> {
  const [state, found] = await Promise.all([
    ask(host, systemdUnit, unit),
    Promise.all(files.map(({ path }) => host.readFile(path))),
  ]);
  const own = dropIns(unit);
  const others = state.dropInPaths.filter((path) => !own.includes(dirname(path)));
  const asWritten = files.every(({ content }, i) => found[i]?.toString("utf8") === content);
  return {
    exists: found.some((content) => content !== undefined),
    installed:
      asWritten &&
      state.loadState === "loaded" &&
      state.fragmentPath === `${unitDir}/${unit}` &&
      state.dropInPaths.length === others.length &&
      !state.needDaemonReload,
    active: isRunning(state),
    ...(others.length > 0 && {
      note: `${unit} is changed by drop-ins that are not for it alone, and that netdisk leaves as they are: ${others.join(", ")}`,
    }),
  };
}

/** Seconds: what a key slot, the log of a file system and a slow link may take together. */
const patience = 300;

/**
 * systemctl's own message names the unit only; the reason is in the journal. A unit that tries again and again neither comes
 * up nor fails: it is not waited for any longer, and goes on by itself.
 */
export const systemctl = (verb: "start" | "restart" | "reload" | "stop", { unit }: ChainUnit): RunStep => ({
  do: "run",
  title: `systemctl ${verb} ${unit}`,
  command: sh`timeout ${patience} systemctl ${verb} ${unit} || { [ $? != 124 ] || echo ${`systemctl ${verb} ${unit} is not done after ${patience} s and goes on by itself; its last messages:`} >&2; journalctl --unit ${unit} --lines 5 --no-pager --output cat >&2; exit 1; }`,
  timeoutMs: (patience + 30) * 1000,
});

/**
 * Text only: what runs goes on running; the next start uses the new files. systemd reads a unit that it does not have in
 * memory when it is asked for it, so after the first writing it need not read all units of the host again.
 */
export const install = (...units: ChainUnit[]): Step[] => [
  ...units.flatMap(({ files }) => files),
  {
    do: "run",
    title: "systemctl daemon-reload",
    command: sh`rm -rf ${units.flatMap(({ unit }) => dropIns(unit))} && found=$(systemctl show --property=LoadState,NeedDaemonReload -- ${units.map(({ unit }) => unit)}) && { ! echo "$found" | grep -qvxE '(LoadState=loaded|NeedDaemonReload=no)?' || systemctl daemon-reload; }`,
  },
];

export const uninstall = (...units: ChainUnit[]): RunStep => ({
  do: "run",
  title: `remove ${units.map(({ unit }) => unit).join(", ")}`,
  // The brackets make a pattern of the name: no match is no error. A failed unit would be listed for ever.
  command: sh`rm -f ${units.flatMap(({ files }) => files.map(({ path }) => path))} && systemctl daemon-reload && systemctl reset-failed ${units.map(({ unit }) => unit.replace(/.$/, "[$&]"))}`,
});
