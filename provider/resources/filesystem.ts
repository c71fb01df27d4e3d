/** The file system on the mapping (schema/crypt.ts): made only where nothing was ever written through it. */
import { filesystem as definition } from "../../schema/crypt";
import { formatSize, type Size, sizeBytes } from "../../schema/size";
import type { Inputs, State } from "../../schema/define";
import { inMemoryDir } from "../../schema/paths";
import { giveUpDisk } from "../errors";
import { ask } from "../fact";
import { blankProof, proveBlank } from "../facts/blank";
import { blkidProbe, describeSignature } from "../facts/blkid";
import { inUse, refuseUsed } from "../facts/deviceUsers";
import { xfsSectors, xfsSize, type XfsSuperblock, xfsSuperblock } from "../facts/xfs";
import type { Host } from "../host/host";
import { Command, sh } from "../host/sh";
import { clearIntent, hasIntent, intentPath, noteIntent, readIntent } from "../intent";
import { type Observation, type RunStep, resourceType } from "../resource";
import { mappedLayer, readThrough } from "./layers";

type Wishes = Inputs<typeof definition>;
type Seen = Observation<State<typeof definition>>;

const intentOf = (name: string): string => intentPath("mkfs", name);

/** The container that the note is about, in device-mapper's spelling: another disk's note allows nothing. */
const identityOf = (dmUuid: string): string => `mkfs in ${dmUuid.split("-").slice(0, 3).join("-")}`;
const identityOnHost = (name: string): Command =>
  new Command(`"mkfs in $(dmsetup info -c --noheadings -o uuid ${sh`${name}`.text} | cut -d - -f 1-3)"`);

/** The remains of our own attempt: an XFS that mkfs marks as in progress until its last write, or nothing known. */
const proveOurs = (device: string): Command =>
  sh`magic=$(dd if=${device} bs=4096 count=1 iflag=direct status=none | od -An -tx1 -N4 | tr -d ' ')
  case $magic in
    "") echo ${device} cannot be read >&2; exit 1 ;;
    58465342)
      progress=$(xfs_db -r -c 'sb 0' -c 'print inprogress' ${device}) || exit 1
      [ "$progress" = 'inprogress = 1' ] || { echo ${device} holds a finished file system: "$progress" >&2; exit 1; }
      ;;
    *)
      found=$(blkid -p -o value -s TYPE -s PTTYPE ${device})
      [ $? = 2 ] || { echo ${device} holds something else by now: "$found" >&2; exit 1; }
      ;;
  esac`;

/**
 * Without -K mkfs would discard the whole device first, and the server would give up the blocks that it
 * reserved. With -f it does not judge itself: below the mapping zeros are proven, and what they decrypt to may look
 * like anything.
 */
function makeFilesystem({ name, device, rawDevice, rawOffset, crc, finobt }: Wishes): RunStep {
  const intent = intentOf(name);
  const identity = new Command('"$identity"');
  const features = `crc=${crc ? 1 : 0},finobt=${finobt ? 1 : 0}`;
  return {
    do: "run",
    title: `mkfs.xfs -m ${features} ${device}`,
    command: sh`identity=${identityOnHost(name)} && echo "$identity" | grep -Eqx 'mkfs in CRYPT-LUKS[12]-[0-9a-f]{32}' || { echo ${name} is no LUKS mapping >&2; exit 1; }
${refuseUsed(device)}
blank=$( ${proveBlank(rawDevice, rawOffset)} ) || exit 1
if [ "$blank" = blank ]; then
  ${noteIntent(intent, identity)} || exit 1
elif ${hasIntent(intent, identity)}; then
  ${proveOurs(device)}
else
  echo ${rawDevice} is not blank: "$blank" >&2
  exit 1
fi
mkfs.xfs -q -K -f -m ${features} ${device} && sync ${device} && ${clearIntent(intent)}`,
    inUse,
    // mkfs writes a log of up to 2 GiB, over whatever link there is.
    timeoutMs: 4 * 3_600_000,
  };
}

/** XFS leaves a rest that is smaller than an allocation group may be. */
const smallestGroup = 16 * 2 ** 20;

const reaches = (size: Size | undefined, wished: Size | undefined): boolean =>
  (sizeBytes(size ?? "") ?? 0) + smallestGroup >= (sizeBytes(wished ?? "") ?? 0);

/** Online where it is mounted; otherwise in a place of its own for the moment. */
const grow = ({ device }: Wishes): RunStep => ({
  do: "run",
  title: `xfs_growfs ${device}`,
  command: sh`at=$(findmnt --noheadings --first-only --output TARGET --source ${device})
if [ -n "$at" ]; then
  xfs_growfs -d "$at" >/dev/null
else
  at=$(mktemp -d ${inMemoryDir("grow")}) && mount -t xfs ${device} "$at" || exit 1
  xfs_growfs -d "$at" >/dev/null
  grown=$?
  umount "$at" && rmdir "$at" && [ "$grown" = 0 ]
fi`,
});

const foreign = (what: string, cure: string): Seen => ({ is: "foreign", what, cure });

/** What state knows was finished once: no note of a mkfs, and nothing that its server does to it, makes it ours to format. */
const lost = (device: string, uuid: string, found: string, orElse = ""): Seen =>
  foreign(
    `${device} no longer holds the file system ${uuid}: ${found}`,
    `Bring the right backing back${orElse}. To give the old file system up, ${giveUpDisk}`,
  );

const mend = (device: string): string =>
  `, from a backup; where only its beginning was damaged, \`xfs_repair -n ${device}\` on the client tells whether \`xfs_repair\` can mend it`;

/** A file system that was there before, as that of a disk to adopt, may have been made over another block size. */
async function unmountable(host: Host, device: string): Promise<Seen | undefined> {
  const sectors = await ask(host, xfsSectors, device);
  if (sectors.made >= sectors.device) return undefined;
  return foreign(
    `${device} holds an XFS with sectors of ${sectors.made} bytes, which cannot be mounted over blocks of ${sectors.device}`,
    "Take the disk out of the stack file, with its line under `adopt`, and run `pulumi up` (where it is the only one, " +
      "`pulumi destroy` with the file as it is), which gives it back unharmed; " +
      `then write both, with \`blockSize: ${sectors.made}\`.`,
  );
}

function present(inputs: Wishes, superblock: XfsSuperblock, size: number, complete: boolean): Seen {
  const { name, device, rawDevice, rawOffset } = inputs;
  const { uuid, crc, finobt } = superblock;
  const rawSize = formatSize(rawOffset + size);
  return {
    is: "present",
    state: { name, device, rawDevice, rawOffset, rawSize, type: "xfs", crc, finobt, complete, uuid },
  };
}

/** What is on the open mapping; `identity`: of the container that it is in, `pinned`: UUID that the state knows. */
async function lookInside(
  host: Host,
  inputs: Wishes,
  identity: string,
  pinned: string | undefined,
): Promise<Seen> {
  const { name, device, rawDevice, rawOffset } = inputs;
  const [signature, intent] = await Promise.all([
    ask(host, blkidProbe, device),
    readIntent(host, intentOf(name), identity),
  ]);
  const begun = intent === "begun";
  if (signature?.type === "xfs") {
    const refused = pinned === undefined && !begun ? await unmountable(host, device) : undefined;
    if (refused) return refused;
    const superblock = await ask(host, xfsSuperblock, device);
    if (!superblock.inProgress) {
      if (pinned !== undefined && superblock.uuid !== pinned)
        return lost(device, pinned, `found ${superblock.uuid}`);
      return present(inputs, superblock, await ask(host, xfsSize, device), !begun);
    }
    if (pinned !== undefined) return lost(device, pinned, "found an XFS whose mkfs did not end");
    if (!begun)
      return foreign(
        `${device} holds an XFS whose mkfs did not end`,
        "Find out whose it is; netdisk did not begin it.",
      );
  }
  const other = signature?.type === "xfs" ? undefined : signature;
  if (begun && !other && pinned === undefined) return { is: "absent" };
  // Zeros that nobody wrote decrypt to noise, in which a signature is found now and then.
  const proof = await ask(host, blankProof, rawDevice, rawOffset);
  if (pinned !== undefined && proof.blank) return lost(device, pinned, "nothing was ever written to it");
  if (pinned !== undefined && other) return lost(device, pinned, `found ${describeSignature(other)}`);
  const unknown = `data without a known signature: ${proof.found ?? ""} (seen from ${rawDevice})`;
  if (pinned !== undefined) return lost(device, pinned, `found ${unknown}`, mend(device));
  if (other && !proof.blank) {
    return foreign(
      `${device} holds ${describeSignature(other)}`,
      "Use another backing; netdisk never formats what it did not find blank.",
    );
  }
  return proof.blank
    ? { is: "absent" }
    : foreign(
        `${device} holds ${unknown}`,
        "Use another backing; netdisk never formats what it did not find blank.",
      );
}

export const filesystem = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  keepWhenGone: true,

  check: ({ crc, finobt }) =>
    crc === false && finobt === true
      ? [{ property: "finobt", reason: "needs crc: a free inode B-tree exists only with metadata checksums" }]
      : [],

  satisfied: (property, state, inputs) =>
    property === "rawSize" ? reaches(state.rawSize, inputs.rawSize) : undefined,

  async observe(host, inputs, known) {
    const { name, rawDevice } = inputs;
    const layer = await mappedLayer(host, name, rawDevice);
    if (layer.is === "hidden") return layer;
    const identity = identityOf(layer.mapping.dmUuid);
    return readThrough(host, name, rawDevice, () => lookInside(host, inputs, identity, known.state?.uuid));
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return [makeFilesystem(inputs)];
    const { complete, rawSize } = observed.state;
    const steps: RunStep[] = reaches(rawSize, inputs.rawSize) ? [] : [grow(inputs)];
    if (!complete) {
      steps.push({
        do: "run",
        title: "remove the note of the finished mkfs",
        command: clearIntent(intentOf(inputs.name)),
      });
    }
    return steps;
  },

  planRemoval: () => [],
});
