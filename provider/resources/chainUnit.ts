/** What the units of the disk's chain have in common: a script and a unit file, started and stopped by systemd. */
import { scriptDir, unitDir } from "../../schema/paths";
import { ask } from "../fact";
import { systemdUnit } from "../facts/systemd";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import type { RunStep, Step, WriteStep } from "../resource";
import { render, type TemplateValue } from "../template";

export interface ChainUnit {
  /** `netdisk-open@photos.service` */
  unit: string;
  script: string;
  files: readonly WriteStep[];
}

/** `step` is the unit's word: the templates are `STEP.sh` and `netdisk-STEP.service`. */
export function chainUnit(
  step: string,
  name: string,
  unit: string,
  values: { script: Record<string, TemplateValue>; service: Record<string, TemplateValue> },
): ChainUnit {
  const script = `${scriptDir}/${step}@${name}`;
  const write = (path: string, content: string, mode: number): WriteStep => ({
    do: "write",
    title: `write ${path}`,
    path,
    content,
    mode,
  });
  return {
    unit,
    script,
    files: [
      write(script, render(`${step}.sh`, { name, unit, ...values.script }), 0o755),
      write(
        `${unitDir}/${unit}`,
        render(`netdisk-${step}.service`, { name, script, ...values.service }),
        0o644,
      ),
    ],
  };
}

export interface ChainUnitState {
  /** True when any of the files is there, ours or not. */
  exists: boolean;
  /** True when systemd runs exactly our text. */
  installed: boolean;
  active: boolean;
}

export async function observeUnit(host: Host, { unit, files }: ChainUnit): Promise<ChainUnitState> {
  const [state, found] = await Promise.all([
    ask(host, systemdUnit, unit),
    Promise.all(files.map(({ path }) => host.readFile(path))),
  ]);
  const asWritten = files.every(({ content }, i) => found[i]?.toString("utf8") === content);
  return {
    exists: found.some((content) => content !== undefined),
    installed:
      asWritten &&
      state.loadState === "loaded" &&
      state.fragmentPath === `${unitDir}/${unit}` &&
      state.dropInPaths.length === 0 &&
      !state.needDaemonReload,
    active: state.activeState === "active",
  };
}

/** systemctl's own message names the unit only; the reason is in the journal. */
export const systemctl = (verb: "start" | "restart" | "reload" | "stop", { unit }: ChainUnit): RunStep => ({
  do: "run",
  title: `systemctl ${verb} ${unit}`,
  command: sh`systemctl ${verb} ${unit} || { journalctl --unit ${unit} --lines 5 --no-pager --output cat >&2; exit 1; }`,
  timeoutMs: 330_000,
});

export const daemonReload: RunStep = {
  do: "run",
  title: "systemctl daemon-reload",
  command: sh`systemctl daemon-reload`,
};

/** Text only: what runs goes on running; the next start uses the new files. */
export const install = ({ files }: ChainUnit): Step[] => [...files, daemonReload];

export const uninstall = ({ unit, files }: ChainUnit): RunStep => ({
  do: "run",
  title: `remove ${unit}`,
  command: sh`rm -f ${files.map(({ path }) => path)} && systemctl daemon-reload`,
});
