/** Whether the layer below is there to be looked at; a layer that is not hides everything above it. */
import { attachUnit, mappedDevice, sessionControl, sessionHelper } from "../../schema/paths";
import { NetdiskError } from "../errors";
import { ask } from "../fact";
import { type CryptMapping, dmsetupCrypt } from "../facts/dmsetup";
import { sessionState } from "../facts/session";
import { type BlockDevice, blockDevice } from "../facts/sysfs";
import { systemdUnit } from "../facts/systemd";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import type { Hidden, RunStep } from "../resource";
import { isLocked } from "./unlock";

export type Layer = { is: "there"; device: BlockDevice } | Hidden;

/** States of a unit that it leaves by itself. */
const moving = /^((de)?activating|reloading|refreshing)$/;

/**
 * The plugin dials by itself, after a failure less often: what was mended a moment ago need not wait for that. A plugin
 * that is gone by now is the next look's to see.
 */
const dial = (name: string): RunStep => ({
  do: "run",
  title: `netdisk resume ${name}`,
  command: sh`${sessionHelper} ask ${sessionControl(name)} resume || :`,
});

/** The attached nbd device. A device whose unit is not active is dead or on its way: not to be read. */
export async function attachedLayer(host: Host, name: string, path: string): Promise<Layer> {
  const [unit, device, session] = await Promise.all([
    ask(host, systemdUnit, attachUnit(name)),
    ask(host, blockDevice, path),
    ask(host, sessionState, name),
  ]);
  if (unit.activeState !== "active")
    return {
      is: "hidden",
      by: `${attachUnit(name)} is ${unit.activeState}`,
      ...(moving.test(unit.activeState) && { passing: {} }),
    };
  if (!device || device.size === 0) return { is: "hidden", by: `${path} is not attached` };
  // To read it now would mean to wait for the server.
  if (session !== undefined && !["up", "replaying"].includes(session))
    return {
      is: "hidden",
      by: `the server of ${path} is out of reach: its session is ${session}`,
      passing: ["stopped", "unknown"].includes(session) ? {} : { hurry: dial(name) },
    };
  return { is: "there", device };
}

/**
 * What is seen by reading the attached device. Where its server went out of reach meanwhile, that is what is seen, and not
 * that a command took too long: a link's death is noticed seconds later only.
 */
export async function readThrough<T>(
  host: Host,
  name: string,
  path: string,
  look: () => Promise<T>,
): Promise<T | Hidden> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof NetdiskError) || error.code !== "TIMEOUT") throw error;
    const layer = await attachedLayer(host, name, path);
    if (layer.is === "hidden") return layer;
    throw error;
  }
}

export type MappedLayer = { is: "there"; device: BlockDevice; mapping: CryptMapping } | Hidden;

/** The open mapping; one that is left over above a dead device does not count, nor one that answers nobody. */
export async function mappedLayer(host: Host, name: string, raw: string): Promise<MappedLayer> {
  const below = await attachedLayer(host, name, raw);
  if (below.is === "hidden") return below;
  const mapping = await ask(host, dmsetupCrypt, name);
  if (!mapping) {
    const locked = await isLocked(host, name);
    return { is: "hidden", by: `${mappedDevice(name)} is not open`, ...(locked && { inOrder: true }) };
  }
  if (mapping.below !== below.device.number) {
    return { is: "hidden", by: `${mappedDevice(name)} is open over another device than ${raw}` };
  }
  // Whoever reads it waits until it is resumed.
  if (mapping.suspended) return { is: "hidden", by: `${mappedDevice(name)} is suspended` };
  return { ...below, mapping };
}
