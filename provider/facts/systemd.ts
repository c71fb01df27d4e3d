/** What systemd says of its units: loaded, running, enabled, and from which files. */
import type { Fact } from "../fact";
import type { ExecResult } from "../host/host";
import { sh } from "../host/sh";

const loadStates = ["stub", "loaded", "not-found", "bad-setting", "error", "merged", "masked"] as const;
const activeStates = [
  "active",
  "reloading",
  "refreshing",
  "inactive",
  "failed",
  "activating",
  "deactivating",
  "maintenance",
] as const;

/** It runs, also while it reloads its configuration. */
export const isRunning = ({ activeState }: Pick<SystemdUnit, "activeState">): boolean =>
  activeState === "active" || activeState === "reloading" || activeState === "refreshing";

export interface SystemdUnit {
  /** The unit's real name: an alias asked for comes back as what it stands for. */
  id: string;
  /** `not-found`: no such unit file; `masked`: linked to /dev/null. */
  loadState: (typeof loadStates)[number];
  activeState: (typeof activeStates)[number];
  /** `running`, `exited`, `dead`, `auto-restart`, …: depends on the type of the unit. */
  subState: string;
  /** How the last run ended (`success`, `exit-code`, `signal`, …); empty for types that do not run anything. */
  result: string;
  /** `enabled`, `disabled`, `static`, `masked`, …; empty without a unit file. */
  unitFileState: string;
  /** Path of the unit file; empty without one. */
  fragmentPath: string;
  dropInPaths: string[];
  /** True when a unit file changed on disk after systemd read it. */
  needDaemonReload: boolean;
  /** Process id of the service's main process; 0 where there is none. */
  mainPid: number;
  /** New for each start of the unit; empty when it was never started since boot. */
  invocationId: string;
}

const properties =
  "Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID,InvocationID";

function parseUnit(block: string): SystemdUnit {
  const values = new Map<string, string>();
  for (const line of block.split("\n")) {
    const match = /^([A-Za-z]+)=(.*)$/.exec(line);
    if (!match?.[1]) throw new Error(`unexpected line: ${line}`);
    values.set(match[1], match[2] ?? "");
  }
  const get = (key: string): string => {
    const value = values.get(key);
    if (value === undefined) throw new Error(`no ${key} in the answer`);
    return value;
  };
  const oneOf = <T extends string>(key: string, known: readonly T[]): T => {
    const found = known.find((value) => value === get(key));
    if (found === undefined) throw new Error(`unknown ${key}: ${get(key)}`);
    return found;
  };
  // Only services have a main process, and only units that run something a result.
  const mainPid = values.get("MainPID") ?? "0";
  if (!/^[0-9]+$/.test(mainPid)) throw new Error(`unexpected MainPID: ${mainPid}`);
  return {
    id: get("Id"),
    loadState: oneOf("LoadState", loadStates),
    activeState: oneOf("ActiveState", activeStates),
    subState: get("SubState"),
    result: values.get("Result") ?? "",
    unitFileState: get("UnitFileState"),
    fragmentPath: get("FragmentPath"),
    dropInPaths: get("DropInPaths").split(" ").filter(Boolean),
    needDaemonReload: oneOf("NeedDaemonReload", ["yes", "no"] as const) === "yes",
    mainPid: Number(mainPid),
    invocationId: get("InvocationID"),
  };
}

function parseUnits(result: ExecResult, expected: number): SystemdUnit[] {
  // systemctl show exits 0 for units that do not exist; anything else is systemd not answering.
  if (result.exitCode !== 0) throw new Error("systemctl show failed");
  const blocks = result.stdout.trim().split(/\n\n+/);
  if (blocks.length !== expected) {
    throw new Error(`expected ${expected} unit(s) in the answer, found ${blocks.length}`);
  }
  return blocks.map(parseUnit);
}

/** Several units in one question; the answer has one entry per name, in the same order. */
export const systemdUnits: Fact<[units: readonly string[]], SystemdUnit[]> = {
  name: "systemd.units",
  command: (units) => sh`systemctl show --property=${properties} -- ${units}`,
  parse: (result, units) => parseUnits(result, units.length),
};

/** One unit. A unit that does not exist is an answer too: `loadState: not-found`. */
export const systemdUnit: Fact<[unit: string], SystemdUnit> = {
  name: "systemd.unit",
  command: (unit) => sh`systemctl show --property=${properties} -- ${unit}`,
  parse: (result) => {
    const [unit] = parseUnits(result, 1);
    if (!unit) throw new Error("no unit in the answer");
    return unit;
  },
};
