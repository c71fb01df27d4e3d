/**
 * The LUKS container (schema/crypt.ts). The header is made in a file on the client, then put on the device:
 * so there is no moment at which the device has a header that the client does not know, and whatever a
 * killed run leaves on the device is zero or bytes of that file (luksSteps.ts).
 */
import { luks as definition } from "../../schema/crypt";
import type { State } from "../../schema/define";
import { headerFile } from "../../schema/paths";
import { ask } from "../fact";
import { blankProof } from "../facts/blank";
import { blkidProbe } from "../facts/blkid";
import { luksDeviceHeader, type LuksHeader, luksHeader, luksOpens } from "../facts/cryptsetup";
import { headerRelation } from "../facts/luksDevice";
import type { Host } from "../host/host";
import { readIntent } from "../intent";
import { type Observation, resourceType } from "../resource";
import { attachedLayer } from "./layers";
import { finishHeader, formatIdentity, formatIntent, keepHeader, makeHeader, writeHeader } from "./luksSteps";

type Seen = Observation<State<typeof definition>>;
type Conditions = Pick<State<typeof definition>, "headerKept" | "headerOnDevice" | "complete">;

interface Place {
  name: string;
  device: string;
  keyFile: string;
  /** Size of the device, bytes. */
  size: number;
  /** LUKS UUID of the last observation, where there was one. */
  pinned?: string;
}

const foreign = (what: string, cure: string): Seen => ({ is: "foreign", what, cure });

function present({ name, device, keyFile }: Place, header: LuksHeader, conditions: Conditions): Seen {
  const { cipher, keySize, sectorSize, uuid, offset } = header;
  // Values outside the schema's choices are shown as they are: the comparison with the wish is what counts.
  const state = {
    name,
    device,
    keyFile,
    type: "luks2",
    cipher,
    keySize,
    sectorSize,
    pbkdf: header.pbkdf,
    uuid,
  };
  return {
    is: "present",
    state: { ...state, header: headerFile(name), offset, ...conditions } as State<typeof definition>,
  };
}

const otherDisk = ({ name, device, pinned }: Place, found: string): Seen =>
  foreign(
    `${device} is not the disk that it was: ${found}${pinned === undefined ? "" : `, expected LUKS UUID ${pinned}`}`,
    `Bring the right backing back. To give the old disk up and begin a new one, remove ${headerFile(name)} on the client and take this resource out of the state (\`pulumi state delete\`).`,
  );

/** The client has no (usable) copy of the header: only the device can tell. */
async function withoutCopy(host: Host, place: Place): Promise<Seen> {
  const { device, keyFile, pinned } = place;
  const proof = await ask(host, blankProof, device, 0);
  if (proof.blank) return pinned === undefined ? { is: "absent" } : otherDisk(place, "it is blank");
  const [signature, header] = await Promise.all([
    ask(host, blkidProbe, device),
    ask(host, luksDeviceHeader, device, keyFile),
  ]);
  if (!header) {
    const what = signature ? `${signature.type} ${signature.uuid ?? ""}`.trim() : (proof.found ?? "data");
    return foreign(
      `${device} is not blank and does not open with ${keyFile}: ${what}`,
      "Use another backing, or put the right key and header in place (docs/recovery.md). To erase what is there, erase the backing yourself.",
    );
  }
  if (pinned !== undefined && header.uuid !== pinned)
    return otherDisk(place, `it has LUKS UUID ${header.uuid}`);
  return present(place, header, { headerKept: false, headerOnDevice: true, complete: true });
}

async function withCopy(host: Host, place: Place, copy: LuksHeader): Promise<Seen> {
  const { name, device, size } = place;
  const [relation, intent] = await Promise.all([
    ask(host, headerRelation, device, headerFile(name), copy.used),
    readIntent(host, formatIntent(name), formatIdentity(device, size)),
  ]);
  const complete = intent === "none";
  const kept = { headerKept: true, complete };
  switch (relation) {
    case "equal":
      return present(place, copy, { ...kept, headerOnDevice: true });
    case "ours":
      return present(place, copy, { ...kept, headerOnDevice: false });
    case "zero": {
      // A header that was lost has data behind it; a disk without any is new, or another one.
      const rest = complete ? await ask(host, blankProof, device, copy.used) : { blank: false };
      return rest.blank
        ? otherDisk({ ...place, pinned: copy.uuid }, "it is blank")
        : present(place, copy, { ...kept, headerOnDevice: false });
    }
    case "other": {
      const signature = await ask(host, blkidProbe, device);
      const found = signature
        ? `${signature.type} ${signature.uuid ?? ""}`.trim()
        : "data that nobody can identify";
      return otherDisk({ ...place, pinned: copy.uuid }, `it has ${found}`);
    }
  }
}

export const luks = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ header: headerFile(name) }),

  async observe(host, inputs, known) {
    const { name, device, keyFile } = inputs;
    const layer = await attachedLayer(host, name, device);
    if (layer.is === "hidden") return layer;
    const place: Place = { name, device, keyFile, size: layer.device.size, pinned: known.state?.uuid };
    const copy = await ask(host, luksHeader, headerFile(name));
    if (!copy) return withoutCopy(host, place);
    if (place.pinned !== undefined && copy.uuid !== place.pinned) {
      return foreign(
        `${headerFile(name)} has LUKS UUID ${copy.uuid}, expected ${place.pinned}`,
        "Put the disk's own header back (docs/recovery.md).",
      );
    }
    const [opens, seen] = await Promise.all([
      ask(host, luksOpens, headerFile(name), keyFile),
      withCopy(host, place, copy),
    ]);
    if (opens || seen.is === "foreign") return seen;
    // The copy is damaged or the key is another one: what the device says decides.
    return withoutCopy(host, { ...place, pinned: copy.uuid });
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return [makeHeader(inputs), writeHeader(inputs)];
    const { headerKept, headerOnDevice, complete } = observed.state;
    if (!headerKept) return [keepHeader(inputs)];
    if (!headerOnDevice) return [writeHeader(inputs)];
    return complete ? [] : [finishHeader(inputs)];
  },

  planRemoval: () => [],
});
