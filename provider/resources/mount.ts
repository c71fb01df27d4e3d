/** The mount and the unit that makes it (schema/crypt.ts, docs/units.md). */
import { dirname } from "node:path";
import { mount as definition } from "../../schema/crypt";
import type { Inputs, State } from "../../schema/define";
import {
  attachedDevice,
  attachUnit,
  diskTarget,
  fstab,
  mountUnit,
  openUnit,
  sessionScript,
} from "../../schema/paths";
import { ask } from "../fact";
import { blkidProbe } from "../facts/blkid";
import { entries } from "../facts/find";
import { findmntAt, findmntOf } from "../facts/findmnt";
import { realPath } from "../facts/readlink";
import { blockDevice } from "../facts/sysfs";
import { fstabLines } from "../facts/tabs";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import { resourceType, type RunStep } from "../resource";
import { part, systemdPath } from "../template";
import {
  type ChainUnit,
  chainUnit,
  install,
  noteOf,
  observeUnit,
  stopTimeout,
  systemctl,
  uninstall,
} from "./chainUnit";
import { mappedLayer, readThrough } from "./layers";
import { differingOptions, listedFor, unlistedFor } from "./mountOptions";
import { inOrder } from "./takeDown";
import { isLocked, lockedIsFine } from "./unlock";

const unitOf = ({
  name,
  transport,
  device,
  path,
  type,
  options,
  filesystemUuid,
}: Inputs<typeof definition>): ChainUnit =>
  chainUnit("mount", name, mountUnit(name), {
    script: {
      patiently: part("patiently.sh"),
      resume: part("resume.sh"),
      device,
      path,
      type,
      options: options.join(",") || "defaults",
      listed: listedFor(options).join(","),
      unlisted: unlistedFor(options).join(","),
      uuid: filesystemUuid,
      attach: attachUnit(name),
      session: transport === "session" ? sessionScript(name) : "",
    },
    service: {
      target: diskTarget(name),
      open: openUnit(name),
      above: systemdPath(dirname(path)),
      stopTimeout: stopTimeout(transport, 90),
    },
  });

/** The script makes a bare mount point immutable, so that nobody writes below the disk. Nothing is mounted there now. */
const giveBack = (path: string): RunStep => ({
  do: "run",
  title: `remove the mount point ${path}, if it is empty`,
  command: sh`if [ -d ${path} ] && { mountpoint -q ${path}; [ $? = 32 ]; }; then chattr -i ${path} || echo ${path} cannot be changed with chattr; rmdir --ignore-fail-on-non-empty ${path}; fi`,
});

/** What is there before the disk is mounted, and not seen any more then. */
async function aboutHidden(host: Host, path: string): Promise<string | undefined> {
  const count = await ask(host, entries, path);
  const what = count === 1 ? "1 entry" : `${count} entries`;
  return count === 0
    ? undefined
    : `${what} of the client's own disk in ${path} will be hidden while the disk is mounted there; move them away, or choose another path`;
}

/** By a line of fstab the disk would be mounted at a boot before or beside our unit, and stay in use when that stops. */
async function aboutFstab(host: Host, name: string, uuid: string): Promise<string | undefined> {
  const text = String((await host.readFile(fstab)) ?? "");
  const lines = fstabLines(text, { mappings: [name], uuids: [uuid] });
  return lines.length === 0
    ? undefined
    : `${fstab} mounts the disk, too: ${lines.join("; ")}. Take that out: netdisk has a unit for it`;
}

const warningOf = (...said: (string | undefined)[]): { warning?: string } => {
  const warning = said.filter((text) => text !== undefined).join("; ");
  return warning === "" ? {} : { warning };
};

export const mount = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: mountUnit(name) }),

  satisfied: (property, state, inputs) =>
    property === "options"
      ? differingOptions(state.options ?? [], inputs.options).length === 0
      : lockedIsFine(property, state, inputs),

  async observe(host, inputs, known) {
    const { name, device, path } = inputs;
    const unit = unitOf(inputs);
    const [real, { exists, installed, active, note }, at, everywhere, mapped, layer, locked, twice] =
      await Promise.all([
        ask(host, realPath, path),
        observeUnit(host, unit),
        ask(host, findmntAt, path),
        ask(host, findmntOf, device),
        ask(host, blockDevice, device),
        mappedLayer(host, name, attachedDevice(name)),
        isLocked(host, name),
        aboutFstab(host, name, inputs.filesystemUuid),
      ]);
    // Else each run would take what is mounted for a mount at another path, and move it.
    if (real !== path) {
      return {
        is: "foreign",
        what: `${path} leads to ${real}, and the kernel lists a mount only there`,
        cure: `Give the disk the path ${real}.`,
      };
    }
    const top = at.at(-1);
    if (top && top.source !== device) {
      return {
        is: "foreign",
        what: `${path} has something else mounted on it: ${top.source} (${top.fstype})`,
        cure: "Unmount it, or choose another path.",
      };
    }
    // A mount of the mapping elsewhere is the old path; one of a dead device with the same name is none at all.
    const here = top && top.number === mapped?.number ? top : undefined;
    const entry = here ?? everywhere.find(({ number }) => number === mapped?.number);
    const warning = warningOf(top ? undefined : await aboutHidden(host, path), twice);
    if (!exists && !entry) return { is: "absent", ...warning };
    // A mapping whose device is dead cannot be read: then the last observation is all there is.
    const probe =
      layer.is === "there"
        ? await readThrough(host, name, attachedDevice(name), async () => ({
            is: "read" as const,
            uuid: (await ask(host, blkidProbe, device))?.uuid,
          }))
        : layer;
    const holds = probe.is === "read" ? probe.uuid : (known.state?.filesystemUuid ?? inputs.filesystemUuid);
    const state = {
      name,
      transport: inputs.transport,
      device,
      path: entry?.target ?? path,
      type: entry?.fstype ?? inputs.type,
      options: entry?.options ?? inputs.options,
      filesystemUuid: holds,
      installed,
      active: active && here !== undefined,
      unit: unit.unit,
      locked,
    };
    // A type outside the schema's choices is shown as it is: the comparison with the wish is what counts.
    return { is: "present", state: state as State<typeof definition>, ...noteOf(note), ...warning };
  },

  plan(observed, inputs, known) {
    const unit = unitOf(inputs);
    if (observed.is === "absent") return [...install(unit), systemctl("restart", unit)];
    const { installed, active, path = inputs.path, options = [] } = observed.state;
    const moved = path !== inputs.path;
    const files = installed ? [] : install(unit);
    if (moved || !active) {
      // Where the disk is not mounted, only the last observation knows the old path.
      const old = new Set([path, known.state?.path ?? inputs.path]);
      old.delete(inputs.path);
      // The script that is still there knows the old path.
      const before = moved ? [inOrder(inputs.name), systemctl("stop", unit)] : [];
      return [...before, ...[...old].map(giveBack), ...files, systemctl("restart", unit)];
    }
    const differs = differingOptions(options, inputs.options).length > 0;
    return [...files, ...(differs ? [systemctl("reload", unit)] : [])];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const { device } = inputs;
    const path = observed.state.path ?? inputs.path;
    const unit = unitOf(inputs);
    return [
      inOrder(inputs.name),
      systemctl("stop", unit),
      {
        do: "run",
        title: `umount ${path}, if it was mounted by hand`,
        // findmnt has one status for "nothing found" and for errors; the latter say something.
        command: sh`found=$(findmnt --noheadings --source ${device} --mountpoint ${path} 2>&1); case $?:$found in 0:*) umount ${path} ;; 1:) ;; *) echo "$found" >&2; exit 1 ;; esac`,
      },
      giveBack(path),
      uninstall(unit),
    ];
  },
});
