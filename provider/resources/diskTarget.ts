/** The target that stands for one disk as a whole (schema/crypt.ts, docs/units.md). */
import { diskTarget as definition } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import {
  attachUnit,
  diskTarget as targetOf,
  downUnit,
  mountUnit,
  openUnit,
  sessionScript,
  sessionUnit,
  tunnelUnit,
  unitDir,
  upUnit,
} from "../../schema/paths";
import { ask } from "../fact";
import { isRunning, systemdUnits } from "../facts/systemd";
import { sh } from "../host/sh";
import { type Step, resourceType } from "../resource";
import { type Raw, raw, systemdWord } from "../template";
import { type ChainUnit, install, noteOf, observeUnit, stopTimeout, unitOnly, uninstall } from "./chainUnit";
import { inOrder } from "./takeDown";
import { isLocked, lockedIsFine } from "./unlock";

type Wish = Inputs<typeof definition>;

const linkUnit = ({ name, transport }: Wish): string =>
  transport === "session" ? sessionUnit(name) : tunnelUnit(name);

/** Beside the shell that waits until the chain is down; `$$$$` is `$$` to it. */
const watchOf = ({ name, transport }: Wish): Raw =>
  raw(transport === "session" ? `${systemdWord(sessionScript(name))} watch-link $$$$ & ` : "");

const chainOf = (wish: Wish): string[] => [
  mountUnit(wish.name),
  openUnit(wish.name),
  attachUnit(wish.name),
  linkUnit(wish),
];

function unitsOf(wish: Wish): ChainUnit[] {
  const { name } = wish;
  const target = targetOf(name);
  const [mount, up, down] = [mountUnit(name), upUnit(name), downUnit(name)];
  const [open, attach, link] = [openUnit(name), attachUnit(name), linkUnit(wish)];
  return [
    unitOnly(up, "netdisk-up.service", { name, target, mount }),
    unitOnly(down, "netdisk-down.service", {
      ...{ name, target, mount, open, attach, link },
      watch: watchOf(wish),
      stopTimeout: stopTimeout(wish.transport, 240),
    }),
    unitOnly(target, "netdisk.target", { name, mount, up, down }),
  ];
}

export const diskTarget = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: targetOf(name) }),
  satisfied: lockedIsFine,

  async observe(host, inputs) {
    const { name, transport } = inputs;
    const target = targetOf(name);
    const [whole, units, locked] = await Promise.all([
      ask(host, systemdUnits, [target, ...chainOf(inputs)]),
      Promise.all(unitsOf(inputs).map((unit) => observeUnit(host, unit))),
      isLocked(host, name),
    ]);
    if (units.every(({ exists }) => !exists)) return { is: "absent" };
    return {
      is: "present",
      state: {
        name,
        transport,
        installed: units.every(({ installed }) => installed),
        enabled: whole[0]?.unitFileState === "enabled",
        active: whole.every(isRunning),
        unit: target,
        locked,
      },
      ...noteOf(...units.map(({ note }) => note)),
    };
  },

  plan(observed, inputs) {
    const { name } = inputs;
    const target = targetOf(name);
    const state = observed.is === "present" ? observed.state : undefined;
    const steps: Step[] = state?.installed ? [] : install(...unitsOf(inputs));
    if (!state?.enabled) {
      steps.push({ do: "run", title: `systemctl enable ${target}`, command: sh`systemctl enable ${target}` });
    }
    if (!state?.active) {
      steps.push({
        do: "run",
        title: `systemctl start ${target}`,
        command: sh`timeout 120 systemctl start ${target} || { echo "the disk did not come up:" >&2; systemctl list-units --all --plain --no-legend --no-pager ${chainOf(inputs)} >&2; exit 1; }`,
        timeoutMs: 150_000,
      });
    }
    return steps;
  },

  planRemoval(observed, inputs) {
    const { name } = inputs;
    if (observed.is === "absent") return [];
    const target = targetOf(name);
    return [
      inOrder(name),
      {
        do: "run",
        title: `systemctl disable --now ${target}`,
        // Works without the unit file, too: then there is no link to remove, or nothing to stop (5).
        command: sh`rm -f ${`${unitDir}/multi-user.target.wants/${target}`} && { systemctl stop ${target} || [ $? = 5 ]; }`,
        timeoutMs: 330_000,
      },
      uninstall(...unitsOf(inputs)),
    ];
  },
});
