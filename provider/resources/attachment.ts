/** The attached nbd device of one disk and its unit (schema/client.ts, docs/units.md). */
import { attachment as definition } from "../../schema/client";
import type { Inputs, State } from "../../schema/define";
import {
  attachAnswer,
  attachedDevice,
  attachLeft,
  attachLock,
  attachUnit,
  diskTarget,
  sessionAttached,
  sessionHelper,
  sessionScript,
  sessionSocket,
  sessionUnit,
  tunnelSocket,
  tunnelUnit,
  unitScript,
} from "../../schema/paths";
import { ask } from "../fact";
import { inUse } from "../facts/deviceUsers";
import { panicsAfter } from "../facts/hungTask";
import { type NbdDevice, nbdDevice, type SessionDevice, sessionDevice } from "../facts/nbd";
import { isSealed, keyInput } from "../facts/plainKey";
import { type QueueSettings, queueSettings } from "../facts/queue";
import { Command, join, sh } from "../host/sh";
import { NetdiskError } from "../errors";
import { type RunStep, resourceType } from "../resource";
import { part } from "../template";
import { formatSize, type Size, sizeBytes } from "../../schema/size";
import { type ChainUnit, chainUnit, install, noteOf, observeUnit, systemctl, uninstall } from "./chainUnit";
import { requestKiB, requestsAtOnce } from "./onTheWay";
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

/**
 * The device's request queue, by attribute (Documentation/ABI/stable/sysfs-block in Linux). What waits there goes before
 * anything else (onTheWay.ts). scheduler: none, because nbd before Linux 6.14 mistakes
 * answers for others' where a signal interrupts a send and a scheduler gives the request another tag ("nbd: fix partial
 * sending", 8337b029f788 in Linux). wbt_lat_usec: off, because Linux takes a round trip for a congested disk, and holds
 * writes back to one at a time while anybody reads. io_timeout: ms until the requests that a dead plugin left behind are
 * sent again.
 */
const queueOf = ({
  transport,
  readAhead,
}: Pick<Wish, "transport" | "readAhead">): Record<string, string | number> => ({
  // First: another one has a depth of its own.
  scheduler: "none",
  nr_requests: requestsAtOnce,
  max_sectors_kb: requestKiB,
  wbt_lat_usec: 0,
  ...(transport === "session" && { io_timeout: 10_000 }),
  // Last: some kernels calculate it anew when another limit is set.
  read_ahead_kb: readAhead,
});

/** `NAME=VALUE` of each, as templates/queue.sh takes them. */
const queueWords = (inputs: Wish): string[] =>
  Object.entries(queueOf(inputs)).map(([attribute, value]) => `${attribute}=${value}`);

/**
 * Linux changes a queue once nothing is on the way, and nobody could end what waits for that, nor look at the device. A
 * run may have restarted the session itself, which is back in a moment.
 */
const answers = (name: string): Command => {
  const session = sessionScript(name);
  return sh`tries=0
until case $(${session} value state) in up | replaying) true ;; *) false ;; esac; do
  tries=$((tries + 1))
  [ "$tries" -lt 45 ] || { echo ${`the device's queue cannot be set while requests wait for the server of the disk "${name}":`} "$(${session} value state) $(${session} value reason)". ${`\`netdisk status ${name}\` says what to do; then run \`pulumi up\` again.`} >&2; exit 1; }
  sleep 1
done`;
};

/** Milliseconds that all may take that is on the way when a queue is changed. */
const drainMs = 300_000;

/** An attribute that this kernel lacks is no matter. */
const isQueueOf = (inputs: Wish, found: QueueSettings): boolean =>
  Object.entries(queueOf(inputs)).every(
    ([attribute, value]) =>
      attribute === "read_ahead_kb" || [undefined, `${value}`].includes(found[attribute]),
  );

function unitOf(inputs: Wish): ChainUnit {
  const { name, transport, client, blockSize, timeout, revision } = inputs;
  const [unit, target, device] = [attachUnit(name), diskTarget(name), attachedDevice(name)];
  const size = wholeBlocks(inputs.size, blockSize);
  const script = {
    ...{ device, client, blockSize, size, lock: attachLock, queue: queueWords(inputs).join(" ") },
    nbdDevice: part("nbd-device.sh"),
    setQueue: part("queue.sh"),
  };
  if (transport === "forward") {
    return chainUnit("attach", name, unit, {
      script: {
        ...script,
        socket: tunnelSocket(name),
        timeout,
        revision,
        open: unitScript("open", name),
        answer: attachAnswer(name),
        target,
      },
      service: { target, tunnel: tunnelUnit(name), device },
    });
  }
  return chainUnit(
    "attach",
    name,
    unit,
    {
      script: {
        ...script,
        note: sessionAttached(name),
        attached: part("attached.sh"),
        socket: sessionSocket(name),
        session: sessionScript(name),
        sessionUnit: sessionUnit(name),
        helper: sessionHelper,
        served: sizeBytes(inputs.size) ?? 0,
        open: unitScript("open", name),
        target,
      },
      service: { target, session: sessionUnit(name) },
    },
    "attach-session",
  );
}

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

/** The same of a device that hangs on a session: who made the connection is gone, and did not give it its settings. */
const sessionSettings = (device: SessionDevice, { client, timeout, revision }: Wish): Settings => ({
  client,
  timeout,
  revision,
  blockSize: device.logicalBlockSize as Settings["blockSize"],
  readAhead: device.readAhead,
  size: device.size > 0 ? formatSize(device.size) : undefined,
});

/** Off the old way, by the scripts that brought it there; the next look finds nothing attached, and brings up what was. */
const leave = (name: string): RunStep => ({
  do: "run",
  title: `systemctl stop ${attachUnit(name)}, to attach it by another transport`,
  command: sh`${takeDown(name)}
[ -z "$was" ] || echo "$was" >${attachLeft(name)} || exit 1
systemctl stop $attach`,
  timeoutMs: 330_000,
  inUse,
});

/**
 * Takes down what is above first, and brings it up again. Returns when the device is there: the unit itself would
 * wait for the server for ever; a run should not. `anew`: a session that must learn the disk's size again. The disk comes up by itself when the server is there later.
 */
const restart = (inputs: Inputs<typeof definition>, anew?: string): RunStep => ({
  do: "run",
  title: `systemctl restart ${attachUnit(inputs.name)}, with what is above it`,
  command: sh`${takeDown(inputs.name)}
if [ -z "$was" ] && [ -e ${attachLeft(inputs.name)} ]; then was=$(cat ${attachLeft(inputs.name)}) || exit 1; fi
${anew === undefined ? sh`` : sh`systemctl stop $attach && systemctl restart ${anew} || exit 1`}
if ! timeout 90 systemctl restart $attach; then
  echo "the device is not attached; last messages:" >&2
  journalctl --unit $attach --lines 5 --no-pager --output cat >&2
  ${bringUpLater}
  exit 1
fi
rm -f ${attachLeft(inputs.name)}
${bringUp("the device is attached", inputs)}`,
  stdin: keyInput(inputs),
  timeoutMs: 480_000,
  inUse,
});

/**
 * Another connection in the place of the one that is there: a disk that is open goes over to it, and its users only
 * wait for a moment. With a session the device stays the same, and takes the size of another plugin's.
 */
const exchange = (unit: ChainUnit, { transport }: Wish): RunStep => ({
  ...systemctl("reload", unit),
  title: `systemctl reload ${unit.unit} (${transport === "session" ? "a new plugin: a pause of some 12 s" : "a new connection"}; the disk stays open)`,
});

const panicking = (seconds: number): string =>
  `this host panics when a task waits for more than ${seconds} s, which an outage of the server makes tasks do; set kernel.hung_task_panic=0 (sysctl -w, and in /etc/sysctl.d for the next boot)`;

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
    const [{ exists, installed, active, note }, held, ofSession, queue, panics] = await Promise.all([
      observeUnit(host, unit),
      ask(host, nbdDevice, attachedDevice(name)),
      ask(host, sessionDevice, attachedDevice(name), sessionAttached(name)),
      ask(host, queueSettings, attachedDevice(name), Object.keys(queueOf(inputs))),
      // With the other transport a task does not wait for as long as that.
      inputs.transport === "session" ? ask(host, panicsAfter) : undefined,
    ]);
    if (!exists && !held && !ofSession) return { is: "absent" };
    const { client, blockSize, timeout, readAhead, size, revision } = inputs;
    const wished = { client, blockSize, timeout, readAhead, size, revision };
    // A session's nbd-client ends as soon as it has told the kernel; the other one lives as long as its connection.
    const transport = held ? "forward" : ofSession ? "session" : inputs.transport;
    const device = transport === "forward" ? held : ofSession;
    const settings = held
      ? settingsOf(held)
      : ofSession
        ? sessionSettings(ofSession, inputs)
        : installed
          ? wished
          : {};
    return {
      is: "present",
      state: {
        name,
        transport,
        ...settings,
        installed,
        active: active && transport === inputs.transport && device !== undefined && device.size > 0,
        flush: device === undefined || device.flush,
        queue: device === undefined || queue === undefined || isQueueOf(inputs, queue),
        unit: unit.unit,
        device: attachedDevice(name),
      },
      ...noteOf(note),
      ...(panics !== undefined && { warning: panicking(panics) }),
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
    if (state?.transport !== undefined && state.transport !== inputs.transport) return [leave(inputs.name)];
    const steps = state?.installed ? [] : install(unit);
    // What is told to the kernel, or said by the server, when the connection is made.
    const asWished =
      state?.active &&
      size === wanted &&
      state.flush &&
      (inputs.transport === "session" ||
        (state.client === inputs.client &&
          state.timeout === inputs.timeout &&
          state.revision === inputs.revision));
    const grown = inputs.transport === "session" && size !== undefined && size < wanted;
    // Leading the open disk over, and having its mapping grow, take the key, which a sealed disk has no more.
    const kept =
      state?.active &&
      !isSealed(inputs) &&
      (inputs.transport === "forward" || (grown && state.flush && state.blockSize === inputs.blockSize));
    if (!asWished)
      return [
        ...steps,
        kept ? exchange(unit, inputs) : restart(inputs, grown ? sessionUnit(inputs.name) : undefined),
      ];
    if (state.readAhead === inputs.readAhead && state.queue) return steps;
    // Can change under a mounted file system, whose users wait until what is on the way is answered.
    return [
      ...steps,
      {
        do: "run",
        title: `set the queue of ${attachedDevice(inputs.name)}: ${queueWords(inputs).join(", ")}`,
        command: sh`queue=${queueWords(inputs).join(" ")}
${new Command(part("queue.sh").text)}
${join(
  ...(inputs.transport === "session" ? [answers(inputs.name)] : []),
  sh`device=$(basename "$(readlink -f ${attachedDevice(inputs.name)})")`,
  sh`{ set_queue "$device" || { echo ${`\`netdisk status ${inputs.name}\` says how the disk is; then run \`pulumi up\` again.`} >&2; exit 1; }; }`,
  // cryptsetup hands it on only when it opens the disk, and the file system reads through the mapping.
  sh`for above in /sys/block/"$device"/holders/*/queue/read_ahead_kb; do ! test -e "$above" || echo ${inputs.readAhead} >"$above" || exit 1; done`,
)}`,
        timeoutMs: drainMs,
      },
    ];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const unit = unitOf(inputs);
    const left = attachLeft(inputs.name);
    return [
      inOrder(inputs.name),
      systemctl("stop", unit),
      { do: "run", title: `rm -f ${left}`, command: sh`rm -f ${left}` },
      uninstall(unit),
    ];
  },
});
