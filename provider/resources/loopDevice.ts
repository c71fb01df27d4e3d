/** The loop device over a backing file (schema/backing.ts): its unit sets it up, udev names it. */
import { loopDevice as definition } from "../../schema/backing";
import type { Inputs } from "../../schema/define";
import { attachedDevice, loopNote, loopUnit, madeNote, nbdServerUnit } from "../../schema/paths";
import { formatSize, sizeBytes } from "../../schema/size";
import { NetdiskError } from "../errors";
import { ask } from "../fact";
import { userAccess } from "../facts/access";
import { losetupBehind } from "../facts/losetup";
import { systemdUnit } from "../facts/systemd";
import { sh } from "../host/sh";
import { resourceType, type RunStep, type Step } from "../resource";
import { part, systemdText } from "../template";
import { type ChainUnit, chainUnit, install, noteOf, observeUnit, systemctl, uninstall } from "./chainUnit";
import { isPlainForUdev, udevReload, udevRule } from "./udevRule";

type Wish = Inputs<typeof definition>;

/** A device has whole sectors only. */
const wholeSectors = (size: string): number => {
  const bytes = sizeBytes(size) ?? 0;
  return bytes - (bytes % 512);
};

function unitOf({ name, file, owner }: Wish): ChainUnit {
  const unit = chainUnit("loop", name, loopUnit(name), {
    script: {
      file,
      device: attachedDevice(name),
      note: loopNote(name),
      made: madeNote(name),
      sameFile: part("same-file.sh"),
    },
    service: { shown: systemdText(file), path: file, server: nbdServerUnit },
  });
  return { ...unit, files: [...unit.files, udevRule(name, "loop.rules", { file, owner })] };
}

/** The unit's script does what is missing and no more: it never sets up a second device over a file. */
const script = (verb: "start" | "stop", { unit, script = "" }: ChainUnit): RunStep => ({
  do: "run",
  title: `${verb === "start" ? "set up" : "detach"} the loop device of ${unit}`,
  command: sh`${script} ${verb}`,
});

/** On the device itself, whatever number it has. */
const onDevice = (option: string, name: string): RunStep => ({
  do: "run",
  title: `losetup ${option} ${attachedDevice(name)}`,
  command: sh`losetup ${option} "$(readlink -e ${attachedDevice(name)})"`,
});

export const loopDevice = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ device: attachedDevice(name), unit: loopUnit(name) }),

  check: ({ file }) =>
    file === undefined || isPlainForUdev(file)
      ? []
      : [
          {
            property: "file",
            reason: `"${file}" holds a character that a udev rule cannot name. Use letters, digits, blanks and /_.,:;@+=- only, or no loop device`,
          },
        ],

  satisfied: (property, state, { size }) =>
    property === "size" && state.size !== undefined
      ? sizeBytes(state.size) === wholeSectors(size)
      : undefined,

  async observe(host, inputs) {
    const { name, file, owner } = inputs;
    const unit = unitOf(inputs);
    const [{ exists, installed, active, note }, { unitFileState }, { realPath, noted, loops }, reachable] =
      await Promise.all([
        observeUnit(host, unit),
        ask(host, systemdUnit, unit.unit),
        ask(host, losetupBehind, file, loopNote(name)),
        ask(host, userAccess, owner, attachedDevice(name), "rw"),
      ]);
    const own = loops.find(({ path }) => path === noted);
    const others = loops.filter((loop) => loop !== own).map(({ path }) => path);
    if (!exists && !own) {
      if (others.length > 0) {
        return {
          is: "foreign",
          what: `${file} is already behind ${others.join(", ")}, which netdisk did not set up`,
          cure: `See who uses it; then detach it (\`losetup --detach ${others.join(" ")}\`), or name another file.`,
        };
      }
      if (realPath !== undefined && realPath !== file) {
        return {
          is: "foreign",
          what: `${file} leads to ${realPath}, and the kernel tells udev only the latter`,
          cure: `Give the disk the path ${realPath}.`,
        };
      }
      return { is: "absent" };
    }
    return {
      is: "present",
      state: {
        name,
        file,
        // What is not set up differs in nothing else.
        size: own ? formatSize(own.size) : inputs.size,
        owner: own?.owner ?? owner,
        installed,
        enabled: unitFileState === "enabled",
        active: active && own !== undefined,
        directIo: own?.directIo ?? true,
        others: others.length > 0 ? others.join(" ") : "none",
        reachable,
        device: attachedDevice(name),
        unit: unit.unit,
      },
      ...noteOf(note),
    };
  },

  plan(observed, inputs) {
    const unit = unitOf(inputs);
    const state = observed.is === "present" ? observed.state : undefined;
    if (state && state.others !== "none") {
      throw new NetdiskError(
        "FOREIGN",
        `${inputs.file} is behind ${state.others} too, which netdisk did not set up: whoever writes there writes into the disk. ` +
          `See who uses it, and detach it: \`losetup --detach ${state.others}\`.`,
      );
    }
    const steps: Step[] = state?.installed ? [] : [...install(unit), udevReload];
    if (!state?.enabled) {
      const command = sh`systemctl enable ${unit.unit}`;
      steps.push({ do: "run", title: `systemctl enable ${unit.unit}`, command });
    }
    if (!state?.active) return [...steps, systemctl("restart", unit)];
    if (!state.directIo) steps.push(onDevice("--direct-io=on", inputs.name));
    if (state.size === undefined || sizeBytes(state.size) !== wholeSectors(inputs.size)) {
      steps.push(onDevice("--set-capacity", inputs.name));
    }
    if (!state.installed || !state.reachable || state.owner !== inputs.owner) {
      steps.push(script("start", unit));
    }
    return steps;
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const unit = unitOf(inputs);
    return [
      ...(observed.state.installed ? [] : install(unit)),
      {
        do: "run",
        title: `systemctl disable --now ${unit.unit}`,
        command: sh`systemctl disable --now ${unit.unit}`,
      },
      // The unit may have been inactive, and its stop has no way to say that the device is in use.
      script("stop", unit),
      uninstall(unit),
      udevReload,
    ];
  },
});
