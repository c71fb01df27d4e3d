/** The file system on the mapping (schema/crypt.ts): made only where nothing was ever written through it. */
import { filesystem as definition } from "../../schema/crypt";
import type { Inputs, State } from "../../schema/define";
import { ask } from "../fact";
import { blankProof, proveBlank } from "../facts/blank";
import { blkidProbe } from "../facts/blkid";
import { type XfsSuperblock, xfsSuperblock } from "../facts/xfs";
import { Command, sh } from "../host/sh";
import { clearIntent, hasIntent, intentPath, noteIntent, readIntent } from "../intent";
import { type Observation, type RunStep, resourceType } from "../resource";
import { mappedLayer } from "./layers";

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
    // mkfs writes a log of up to 2 GiB, over whatever link there is.
    timeoutMs: 4 * 3_600_000,
  };
}

const foreign = (what: string, cure: string): Seen => ({ is: "foreign", what, cure });

const lost = (device: string, uuid: string, found: string): Seen =>
  foreign(
    `${device} no longer holds the file system ${uuid}: ${found}`,
    "Bring the right backing back. To give the old file system up, take this resource out of the state (`pulumi state delete`).",
  );

function present(inputs: Wishes, { uuid, crc, finobt }: XfsSuperblock, complete: boolean): Seen {
  const { name, device, rawDevice, rawOffset } = inputs;
  return {
    is: "present",
    state: { name, device, rawDevice, rawOffset, type: "xfs", crc, finobt, complete, uuid },
  };
}

export const filesystem = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  keepWhenGone: true,

  check: ({ crc, finobt }) =>
    crc === false && finobt === true
      ? [{ property: "finobt", reason: "needs crc: a free inode B-tree exists only with metadata checksums" }]
      : [],

  async observe(host, inputs, known) {
    const { name, device, rawDevice, rawOffset } = inputs;
    const layer = await mappedLayer(host, name, rawDevice);
    if (layer.is === "hidden") return layer;
    const pinned = known.state?.uuid;
    const [signature, intent] = await Promise.all([
      ask(host, blkidProbe, device),
      readIntent(host, intentOf(name), identityOf(layer.mapping.dmUuid)),
    ]);
    const begun = intent === "begun";
    if (signature?.type === "xfs") {
      const superblock = await ask(host, xfsSuperblock, device);
      if (!superblock.inProgress) {
        if (pinned !== undefined && superblock.uuid !== pinned)
          return lost(device, pinned, `found ${superblock.uuid}`);
        return present(inputs, superblock, !begun);
      }
      if (!begun)
        return foreign(
          `${device} holds an XFS whose mkfs did not end`,
          "Find out whose it is; netdisk did not begin it.",
        );
    }
    const other = signature?.type === "xfs" ? undefined : signature;
    if (begun && !other) return { is: "absent" };
    // Zeros that nobody wrote decrypt to noise, in which a signature is found now and then.
    const proof = await ask(host, blankProof, rawDevice, rawOffset);
    if (other && !proof.blank) {
      return foreign(
        `${device} holds ${other.type} ${other.uuid ?? ""}`.trim(),
        "Use another backing; netdisk never formats what it did not find blank.",
      );
    }
    if (pinned !== undefined) return lost(device, pinned, proof.found ?? "nothing was ever written to it");
    return proof.blank
      ? { is: "absent" }
      : foreign(
          `${device} holds data without a known signature: ${proof.found ?? ""} (seen from ${rawDevice})`,
          "Use another backing; netdisk never formats what it did not find blank.",
        );
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return [makeFilesystem(inputs)];
    if (observed.state.complete) return [];
    return [
      {
        do: "run",
        title: "remove the note of the finished mkfs",
        command: clearIntent(intentOf(inputs.name)),
      },
    ];
  },

  planRemoval: () => [],
});
