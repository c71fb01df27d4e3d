/** A real disk of the server (schema/backing.ts). Taken when it is blank or was ours; never written to here. */
import { blockDevice as definition } from "../../schema/backing";
import type { Inputs, State } from "../../schema/define";
import { isTooSmall, smallestDisk, whySmallest } from "../../schema/fields";
import { backingRule, madeDir, madeNote } from "../../schema/paths";
import { formatSize, type Size, sizeBytes } from "../../schema/size";
import { giveUpDisk, NetdiskError } from "../errors";
import { ask } from "../fact";
import { userAccess } from "../facts/access";
import { blankProof } from "../facts/blank";
import { blkidProbe } from "../facts/blkid";
import { blockUse, usersOfDevice } from "../facts/deviceUsers";
import { blockDevice as sysfsDevice } from "../facts/sysfs";
import { udevIdentity } from "../facts/udev";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import { type Observation, resourceType, type Step } from "../resource";
import { takeable, takenDown } from "./adoption";
import { deviceNote, isNoted, otherKind } from "./madeNote";
import { isPlainForUdev, udevReload, udevRule } from "./udevRule";

type Wish = Inputs<typeof definition>;
type Seen = Observation<State<typeof definition>>;

const foreign = (what: string, cure: string): Seen => ({ is: "foreign", what, cure });

const ruleOf = ({ name, path, owner }: Wish) =>
  udevRule(name, "block.rules", { link: path.replace(/^\/dev\//, ""), owner });

/** Notes that a device is the disk's: the words of the note, for a human who knows. */
const sayTaken = (name: string, note: string): string =>
  sh`mkdir -p ${madeDir} && echo ${note} >${madeNote(name)}`.text;

const anotherDevice = "Name a device that nobody uses, or free this one if you know that its data may go.";

/** Whether the device holds what netdisk may take for this disk: nothing at all, or what it held when we had it. */
async function refusal(
  host: Host,
  { name, path, adopt }: Wish,
  { size, note, ours }: { size: Size; note: string; ours: boolean },
): Promise<Seen | undefined> {
  const signature = await ask(host, blkidProbe, path);
  const luks = signature?.type === "crypto_LUKS";
  // Of what was ours the client is the judge: it has a header to compare with.
  if (ours && (signature === undefined || luks)) return undefined;
  // Judged by the UUID that it begins with.
  if (adopt !== undefined) return undefined;
  if (isTooSmall(size)) {
    return foreign(
      `${path} has ${size}, and a disk needs ${smallestDisk} or more: ${whySmallest}`,
      "Name a larger device.",
    );
  }
  const proof = await ask(host, blankProof, path, 0, "beside the disk");
  if (proof.blank) return undefined;
  const found = proof.found ?? "data";
  return foreign(
    `${path} is not blank: ${found}`,
    luks
      ? `Name another device. If it is this very disk and the server was set up anew, say so there: \`${sayTaken(name, note)}\`.`
      : anotherDevice,
  );
}

export const blockDevice = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  ownFile: ({ path }) => ({
    path,
    cure: "Two clients that write to one disk destroy it: name another device, or take that disk out of its stack first, which leaves its data as it is.",
  }),

  check: ({ path }) =>
    path === undefined || isPlainForUdev(path)
      ? []
      : [
          {
            property: "path",
            reason: `"${path}" holds a character that a udev rule cannot name. Use another of the device's names`,
          },
        ],

  async observe(host, inputs, known) {
    const { name, path, owner } = inputs;
    const pinned = known.state;
    const [device, rule, note] = await Promise.all([
      ask(host, sysfsDevice, path),
      host.readFile(backingRule(name)),
      host.readFile(madeNote(name)),
    ]);
    const other = otherKind(name, "device", note?.toString());
    if (other) return other;
    const ruleWished = ruleOf(inputs);
    const installed = rule?.toString() === ruleWished.content;
    if (!device) {
      if (pinned === undefined) {
        return foreign(
          `there is no ${path}`,
          "Connect the device, or name one that is there: `ls -l /dev/disk/by-*`.",
        );
      }
      const { identity, size } = pinned;
      const gone = { exists: false, taken: true, reachable: false, users: "none" };
      const state = { name, path, owner, identity, size, installed, ...gone };
      return { is: "present", state, ...(rule && { remains: true }) };
    }
    if (device.size === 0) return foreign(`${path} has size 0`, "Put a medium in, or name another device.");
    const [identity, use, reachable] = await Promise.all([
      ask(host, udevIdentity, path),
      ask(host, blockUse, path),
      ask(host, userAccess, owner, path, "rw"),
    ]);
    if (identity === undefined) {
      return foreign(
        `${path} has neither WWN nor serial number nor a UUID of its own: another device in its place could not be told from it`,
        "Name a GPT partition (/dev/disk/by-partuuid/…) or a logical volume on it, or let the hypervisor give it a serial number.",
      );
    }
    const size = formatSize(device.size);
    if (pinned && pinned.identity !== identity) {
      return foreign(
        `${path} is another device now: ${identity}, ${size}; expected ${pinned.identity}, ${pinned.size}`,
        `Connect the right one. To give the old disk up, ${giveUpDisk}`,
      );
    }
    const before = pinned && sizeBytes(pinned.size);
    if (pinned && before !== undefined && device.size < before) {
      return foreign(
        `${path} has ${size} and had ${pinned.size}: somebody cut it, and the data of its end may be lost`,
        "Give it its size back before anybody else gets what was cut off (`lvextend`, the partition table as it was), or bring all of it back from a backup.",
      );
    }
    const grown = pinned && before !== undefined && device.size > before;
    if (use.readOnly) return foreign(`${path} is read-only`, "Make it writable, or name another device.");
    const wished = deviceNote(identity, size);
    const taken = note?.toString() === `${wished}\n`;
    const ours = isNoted(note?.toString() ?? "", identity, device.size);
    const inUse = (users: string[]) =>
      foreign(
        `${path} is in use on the server: ${users.join(", ")}`,
        inputs.adopt === undefined ? anotherDevice : takenDown,
      );
    if (!pinned) {
      if (use.layers.length > 0) return inUse(use.layers);
      const refused = await refusal(host, inputs, { size, note: wished, ours });
      if (refused) return refused;
      // Of what was ours, nbd-server may be a user.
      const users = ours ? [] : await ask(host, usersOfDevice, path);
      if (users.length > 0) return inUse(users);
    }
    const adopted = pinned ? undefined : await takeable(host, inputs);
    if (adopted?.is === "foreign") return adopted;
    const remains = rule !== undefined || (use.owner === owner && owner !== "root");
    return {
      is: "present",
      ...(remains && { remains }),
      ...(adopted && { note: adopted.note }),
      ...(grown && { note: `${path} has grown from ${pinned.size} to ${size}: so does the disk` }),
      state: {
        name,
        path,
        owner: use.owner,
        exists: true,
        taken,
        installed,
        reachable,
        users: use.layers.join(", ") || "none",
        identity,
        size,
      },
    };
  },

  plan(observed, inputs) {
    if (observed.is === "absent") throw new NetdiskError("CONFIG", `there is no ${inputs.path}. Connect it.`);
    const { name, path } = inputs;
    const { state } = observed;
    if (!state.exists) {
      throw new NetdiskError(
        "FOREIGN",
        `${path} was there and is gone: ${state.identity}, ${state.size}. Connect it again; ` +
          `to give the data up, ${giveUpDisk}`,
      );
    }
    if (state.users !== "none") {
      throw new NetdiskError(
        "FOREIGN",
        `${path} is in use on the server besides the disk ${name}: ${state.users}. ` +
          "Whoever writes there writes into the disk: end that use, then run `pulumi up` again.",
      );
    }
    const steps: Step[] = [];
    if (!state.taken) {
      const note = madeNote(name);
      const content = `${deviceNote(state.identity, state.size)}\n`;
      steps.push({ do: "write", title: `note that ${path} is taken`, path: note, content, mode: 0o644 });
    }
    if (!state.installed) steps.push(ruleOf(inputs), udevReload);
    if (!state.installed || !state.reachable || state.owner !== inputs.owner) {
      steps.push({
        do: "run",
        title: `udevadm trigger ${path}`,
        command: sh`udevadm trigger --settle --action=change "$(readlink -e ${path})"`,
      });
    }
    return steps;
  },

  planRemoval(observed, inputs) {
    if (!observed.remains) return [];
    const rule = backingRule(inputs.name);
    return [
      {
        do: "run",
        title: `rm ${rule}`,
        command: sh`rm -f ${rule} && udevadm control --reload && { ! test -b ${inputs.path} || chown root ${inputs.path}; }`,
      },
    ];
  },
});
