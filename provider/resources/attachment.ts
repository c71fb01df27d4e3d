/** The attached nbd device of one disk and its unit (schema/client.ts, docs/units.md). */
import { attachment as definition } from "../../schema/client";
import type { Inputs, State } from "../../schema/define";
import {
  attachAnswer,
  attachedDevice,
  attachLock,
  attachUnit,
  diskTarget,
  tunnelSocket,
  tunnelUnit,
  unitScript,
} from "../../schema/paths";
import { ask } from "../fact";
import { inUse } from "../facts/deviceUsers";
import { type NbdDevice, nbdDevice } from "../facts/nbd";
import { isSealed, keyInput } from "../facts/plainKey";
import { sh } from "../host/sh";
import { NetdiskError } from "../errors";
import { type RunStep, resourceType } from "../resource";
import { formatSize, type Size, sizeBytes } from "../../schema/size";
import { type ChainUnit, chainUnit, install, observeUnit, systemctl, uninstall } from "./chainUnit";
import { bringUp, bringUpLater, inOrder, takeDown } from "./takeDown";

type Wish = Inputs<typeof definition>;
type Settings = Partial<
  Pick<State<typeof definition>, "client" | "blockSize" | "timeout" | "readAhead" | "size" | "revision">
>;

/** What of `size` a device with this block size can have. */
const wholeBlocks = (size: Size | undefined, blockSize: number): number => {
  const bytes = size === undefined ? 0 : (sizeBytes(size) ?? 0);
  return bytes - (bytes % blockSize);
};

const unitOf = ({ name, client, blockSize, timeout, readAhead, size, revision }: Wish): ChainUnit =>
  chainUnit("attach", name, attachUnit(name), {
    script: {
      device: attachedDevice(name),
      socket: tunnelSocket(name),
      client,
      blockSize,
      timeout,
      readAhead,
      size: wholeBlocks(size, blockSize),
      revision,
      open: unitScript("open", name),
      answer: attachAnswer(name),
      target: diskTarget(name),
      lock: attachLock,
    },
    service: { target: diskTarget(name), tunnel: tunnelUnit(name), device: attachedDevice(name) },
  });

/** What the kernel and the running nbd-client really use. */
function settingsOf({ client, logicalBlockSize, readAhead, size, revision }: NbdDevice): Settings {
  const timeout = Number(client[client.indexOf("-timeout") + 1]);
  return {
    client: client[0],
    blockSize: logicalBlockSize as Settings["blockSize"],
    timeout: client.includes("-timeout") && Number.isInteger(timeout) ? timeout : undefined,
    readAhead,
    size: size > 0 ? formatSize(size) : undefined,
    revision,
  };
}

/**
 * Takes down what is above first, and brings it up again. Returns when the device is there: the unit itself would
 * wait for the server for ever; a run should not. The disk comes up by itself when the server is there later.
 */
const restart = (inputs: Inputs<typeof definition>): RunStep => ({
  do: "run",
  title: `systemctl restart ${attachUnit(inputs.name)}, with what is above it`,
  command: sh`${takeDown(inputs.name)}
if ! timeout 90 systemctl restart $attach; then
  echo "the device is not attached; last messages:" >&2
  journalctl --unit $attach --lines 5 --no-pager --output cat >&2
  ${bringUpLater}
  exit 1
fi
${bringUp("the device is attached", inputs)}`,
  stdin: keyInput(inputs),
  timeoutMs: 450_000,
  inUse,
});

/**
 * Another connection in the place of the one that is there: a disk that is open goes over to it, and its users only
 * wait for a moment.
 */
const exchange = (unit: ChainUnit): RunStep => ({
  ...systemctl("reload", unit),
  title: `systemctl reload ${unit.unit} (a new connection; the disk stays open)`,
});

export const attachment = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: attachUnit(name), device: attachedDevice(name) }),

  satisfied: (property, state, { size, blockSize }) =>
    property === "size" && state.size !== undefined
      ? sizeBytes(state.size) === wholeBlocks(size, blockSize)
      : undefined,

  async observe(host, inputs) {
    const { name } = inputs;
    const unit = unitOf(inputs);
    const [{ exists, installed, active }, device] = await Promise.all([
      observeUnit(host, unit),
      ask(host, nbdDevice, attachedDevice(name)),
    ]);
    if (!exists && !device) return { is: "absent" };
    const { client, blockSize, timeout, readAhead, size, revision } = inputs;
    const wished = { client, blockSize, timeout, readAhead, size, revision };
    const settings = device ? settingsOf(device) : installed ? wished : {};
    return {
      is: "present",
      state: {
        name,
        ...settings,
        installed,
        active: active && device !== undefined && device.size > 0,
        flush: device === undefined || device.flush,
        unit: unit.unit,
        device: attachedDevice(name),
      },
    };
  },

  plan(observed, inputs) {
    const unit = unitOf(inputs);
    const state = observed.is === "present" ? observed.state : undefined;
    const wanted = wholeBlocks(inputs.size, inputs.blockSize);
    const size = state?.size === undefined ? undefined : sizeBytes(state.size);
    if (state?.active && size !== undefined) {
      // A smaller one is what the disk was before it is grown: the script takes no device but of the size it was told.
      if (size > wanted) {
        throw new NetdiskError(
          "FOREIGN",
          `${state.device} has ${formatSize(size)}, not ${formatSize(wanted)}: the server serves another disk under this name. ` +
            "Bring the right file back on the server, then detach (`systemctl stop " +
            `${diskTarget(inputs.name)}\`) and run \`pulumi up\` again.`,
        );
      }
    }
    const steps = state?.installed ? [] : install(unit);
    // What is told to the kernel, or said by the server, when the connection is made.
    const asWished =
      state?.active &&
      size === wanted &&
      state.flush &&
      state.client === inputs.client &&
      state.timeout === inputs.timeout &&
      state.revision === inputs.revision;
    // Leading the open disk over takes the key, which a sealed disk has no more.
    const kept = state?.active && !isSealed(inputs);
    if (!asWished) return [...steps, kept ? exchange(unit) : restart(inputs)];
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
    return [inOrder(inputs.name), systemctl("stop", unit), uninstall(unit)];
  },
});
