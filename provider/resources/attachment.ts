/** The attached nbd device of one disk and its unit (schema/client.ts, docs/units.md). */
import { attachment as definition } from "../../schema/client";
import type { Inputs, State } from "../../schema/define";
import {
  attachedDevice,
  attachLock,
  attachUnit,
  diskTarget,
  tunnelSocket,
  tunnelUnit,
} from "../../schema/paths";
import { ask } from "../fact";
import { type NbdDevice, nbdDevice } from "../facts/nbd";
import { sh } from "../host/sh";
import { type RunStep, resourceType } from "../resource";
import { type ChainUnit, chainUnit, install, observeUnit, systemctl, uninstall } from "./chainUnit";

type Settings = Partial<Pick<State<typeof definition>, "client" | "blockSize" | "timeout" | "readAhead">>;

const unitOf = ({ name, client, blockSize, timeout, readAhead }: Inputs<typeof definition>): ChainUnit =>
  chainUnit("attach", name, attachUnit(name), {
    script: {
      device: attachedDevice(name),
      socket: tunnelSocket(name),
      client,
      blockSize,
      timeout,
      readAhead,
      lock: attachLock,
    },
    service: { target: diskTarget(name), tunnel: tunnelUnit(name), device: attachedDevice(name) },
  });

/** What the kernel and the running nbd-client really use. */
function settingsOf({ client, logicalBlockSize, readAhead }: NbdDevice): Settings {
  const timeout = Number(client[client.indexOf("-timeout") + 1]);
  return {
    client: client[0],
    blockSize: logicalBlockSize as Settings["blockSize"],
    timeout: client.includes("-timeout") && Number.isInteger(timeout) ? timeout : undefined,
    readAhead,
  };
}

/** Returns when the device is there. The unit itself would wait for the server for ever; a run should not. */
const restart = (unit: string): RunStep => ({
  do: "run",
  title: `systemctl restart ${unit}`,
  command: sh`timeout 90 systemctl restart ${unit} || { echo "the device is not attached; last messages:" >&2; journalctl --unit ${unit} --lines 5 --no-pager --output cat >&2; exit 1; }`,
  timeoutMs: 120_000,
});

export const attachment = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: attachUnit(name), device: attachedDevice(name) }),

  async observe(host, inputs) {
    const { name } = inputs;
    const unit = unitOf(inputs);
    const [{ exists, installed, active }, device] = await Promise.all([
      observeUnit(host, unit),
      ask(host, nbdDevice, attachedDevice(name)),
    ]);
    if (!exists && !device) return { is: "absent" };
    const { client, blockSize, timeout, readAhead } = inputs;
    const settings = device ? settingsOf(device) : installed ? { client, blockSize, timeout, readAhead } : {};
    return {
      is: "present",
      state: {
        name,
        ...settings,
        installed,
        active: active && device !== undefined && device.size > 0,
        unit: unit.unit,
        device: attachedDevice(name),
        size: device?.size ?? 0,
      },
    };
  },

  plan(observed, inputs) {
    const unit = unitOf(inputs);
    const state = observed.is === "present" ? observed.state : undefined;
    const steps = state?.installed ? [] : install(unit);
    if (!state?.active || state.client !== inputs.client || state.timeout !== inputs.timeout) {
      return [...steps, restart(unit.unit)];
    }
    if (state.readAhead === inputs.readAhead) return steps;
    // Can change under a mounted file system.
    return [
      ...steps,
      {
        do: "run",
        title: `set read-ahead to ${inputs.readAhead} KiB`,
        command: sh`echo ${inputs.readAhead} >"/sys/block/$(basename "$(readlink -f ${attachedDevice(inputs.name)})")/queue/read_ahead_kb"`,
      },
    ];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const unit = unitOf(inputs);
    return [systemctl("stop", unit), uninstall(unit)];
  },
});
