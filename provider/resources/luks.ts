/**
 * The LUKS container (schema/crypt.ts). The header is made in a file on the client, then put on the device:
 * so there is no moment at which the device has a header that the client does not know, and whatever a
 * killed run leaves on the device is zero or bytes of that file (luksSteps.ts).
 */
import { luks as definition } from "../../schema/crypt";
import type { Inputs, State } from "../../schema/define";
import { luksMistakes } from "../../schema/luksChoices";
import { headerFile } from "../../schema/paths";
import type { Secret } from "../../schema/secret";
import { giveUpDisk, unreadable } from "../errors";
import { ask, askWith } from "../fact";
import { blankProof } from "../facts/blank";
import { blkidProbe, describeSignature } from "../facts/blkid";
import { lineOpens, type LuksHeader, luksHeader, luksOpens } from "../facts/cryptsetup";
import { usersOfDevice } from "../facts/deviceUsers";
import { deviceHeader, deviceOpens } from "../facts/handMade";
import { headerRelation } from "../facts/luksDevice";
import { isSealed, keyInput } from "../facts/plainKey";
import { statPath } from "../facts/stat";
import type { Host } from "../host/host";
import { readIntent } from "../intent";
import { type Observation, resourceType } from "../resource";
import { halfErased } from "./eraseOrder";
import { type KeyChange, keyChange, planKeyChange } from "./keyChange";
import { attachedLayer, readThrough } from "./layers";
import {
  adoptHeader,
  finishHeader,
  formatIdentity,
  formatIntent,
  makeHeader,
  writeHeader,
} from "./luksSteps";

type Seen = Observation<State<typeof definition>>;
type Conditions = Pick<State<typeof definition>, "headerOnDevice" | "complete" | "kept"> & Partial<KeyChange>;

interface Place {
  name: string;
  device: string;
  keyFile: string;
  /** Size of the device, bytes. */
  size: number;
  /** The last observation, where there was one. */
  last?: State<typeof definition>;
  /** LUKS UUID of the last observation. */
  pinned?: string;
}

type Reading = Partial<Pick<State<typeof definition>, "keyReading" | "keyBytes">> & { keySlot: number };

const foreign = (what: string, cure: string): Seen => ({ is: "foreign", what, cure });

const restore =
  "Move the wrong one away: `pulumi up` puts key and header back from the sealed copy in the state (docs/recovery.md, A).";

/** Without what the disk's own key slot was made with (`madeWith`): which one that is, the key says. */
function present({ name, device, keyFile }: Place, header: LuksHeader, conditions: Conditions): Seen {
  const { type, cipher, sectorSize, uuid, offset } = header;
  // Values outside the schema's choices are shown as they are: the comparison with the wish is what counts.
  const state = { name, device, keyFile, type, cipher, sectorSize, uuid, offset };
  const slots = header.slots.map(({ slot }) => slot);
  return {
    is: "present",
    state: { ...state, header: headerFile(name), slots, ...conditions } as State<typeof definition>,
  };
}

/** Of the slot that the disk's key opens. Another one is somebody else's, who may have made it in another way. */
function madeWith(host: Host, { slots, uuid }: LuksHeader, keySlot: number) {
  const own = slots.find(({ slot }) => slot === keySlot);
  if (own) {
    const { keySize, hash, pbkdf } = own;
    return { keySize, hash, pbkdf } as Pick<State<typeof definition>, "keySize" | "hash" | "pbkdf">;
  }
  throw unreadable(
    host.label,
    `the LUKS header ${uuid} has no key slot ${keySlot}, which the key has opened`,
    `key slots in use: ${slots.map(({ slot }) => slot).join(", ")}`,
    "Somebody else is changing its keys. Run the same again once that has ended.",
  );
}

/** Bytes of a key that nobody can guess, however fast: 128 bits. */
const strong = 16;

/** What was seen, and what is known because the key opens it. A weak key is said in each run. */
function opened(seen: Seen, name: string, known: Partial<State<typeof definition>>): Seen {
  if (seen.is !== "present") return seen;
  const { keyBytes = strong } = known;
  const warning =
    `the key of the disk "${name}" is weak: it ends at its first line break, after ${keyBytes} bytes, and one of fewer than ${strong} can be guessed by whoever has the header. ` +
    "Make a second disk, whose key netdisk makes, and copy the files (docs/adopt.md)";
  return { ...seen, state: { ...seen.state, ...known }, ...(keyBytes < strong && { warning }) };
}

/** Key or header are not on the client; what state has of the disk still holds. */
const lost = (last: State<typeof definition>): Seen => ({
  is: "present",
  state: { ...last, kept: false, headerOnDevice: true, complete: true, settled: true },
});

const otherDisk = (device: string, uuid: string, found: string): Seen =>
  foreign(
    `${device} is not the disk that it was: ${found}, expected LUKS UUID ${uuid}`,
    `Bring the right backing back. To give the old disk up, ${giveUpDisk}`,
  );

/**
 * Without the client's copy nothing that the device holds is believed, also when the key opens it: a server can
 * make a header that any key opens, or one whose encryption is none. A disk that state knows is what it was:
 * Recovery, which comes next, has its header and key.
 */
async function withoutCopy(host: Host, place: Place): Promise<Seen> {
  const { name, device, pinned, last } = place;
  const proof = await ask(host, blankProof, device, 0);
  if (!proof.blank && last && pinned !== undefined) return lost(last);
  if (!proof.blank) {
    return foreign(
      `${device} is not blank, and the client has no header for it (${headerFile(name)}). It holds ${proof.found ?? "data"}`,
      "If it is this disk, put the header of the sealed copy there (docs/recovery.md, A): the device's own is the server's word and is never taken. Otherwise use another backing, or erase this one yourself on the server if you know that it may go (docs/errors.md, FOREIGN).",
    );
  }
  if (pinned !== undefined) return otherDisk(device, pinned, "it is blank");
  // After the proof, whose own reading would be found.
  const users = await ask(host, usersOfDevice, device);
  if (users.length === 0) return { is: "absent" };
  return foreign(
    `${device} is blank, but in use: ${users.join("; ")}`,
    "End these users, or unmount what they have mounted; whoever holds a device may be about to write to it.",
  );
}

/**
 * The header of a disk to adopt, as the device has it: present, but not kept. What may not be believed of it is in
 * luksSteps.ts; what is not as wished is refused before anything is taken.
 */
async function toAdopt(
  host: Host,
  place: Place,
  adopt: string,
  sealed: boolean,
  key: Secret | undefined,
): Promise<Seen> {
  const { name, device, keyFile } = place;
  const header = await ask(host, deviceHeader, device);
  if (header?.uuid !== adopt) {
    return foreign(
      `${device} is not the disk to adopt: it has ${header === undefined ? "no LUKS header" : `LUKS UUID ${header.uuid}`}, expected ${adopt}`,
      "Correct the disk's line under `adopt`, or bring the right file or device back on the server.",
    );
  }
  const opens = await askWith(host, deviceOpens, { stdin: key }, device, keyFile, sealed);
  if (opens.by === "any") {
    return foreign(
      `the header on ${device} opens with any key: it is not what was made for the disk "${name}"`,
      "Somebody on the server has changed it. Bring the right header back from a backup of yours (`cryptsetup luksHeaderRestore`).",
    );
  }
  if (opens.by === "none") {
    return foreign(
      `${keyFile} does not open the disk to adopt, neither as a whole nor up to its first line break`,
      `Bring its key there${sealed ? ", or give the passphrase that the file was sealed with" : ""}.`,
    );
  }
  const note = `${device} is the disk to adopt: ${header.type}, ${header.cipher}, LUKS UUID ${adopt}; the key is ${
    opens.by === "whole" ? `all of ${keyFile}` : `the first line of ${keyFile}, ${opens.bytes} bytes`
  }`;
  const conditions = { kept: false, headerOnDevice: true, complete: true, settled: true };
  const seen = opened(present(place, header, conditions), name, madeWith(host, header, opens.keySlot));
  return seen.is === "present" ? { ...seen, note } : seen;
}

async function withCopy(host: Host, place: Place, copy: LuksHeader): Promise<Seen> {
  const { name, device, size } = place;
  const [relation, intent] = await Promise.all([
    ask(host, headerRelation, device, headerFile(name), copy.used),
    readIntent(host, formatIntent(name), formatIdentity(device, size)),
  ]);
  const complete = intent === "none";
  switch (relation) {
    case "equal":
      return present(place, copy, { complete, headerOnDevice: true, kept: true });
    case "ours":
      return present(place, copy, { complete, headerOnDevice: false, kept: true });
    case "zero": {
      // A header that was lost has data behind it; a disk without any is new, or another one.
      const rest = complete ? await ask(host, blankProof, device, copy.used) : { blank: false };
      return rest.blank
        ? otherDisk(device, copy.uuid, "it is blank")
        : present(place, copy, { complete, headerOnDevice: false, kept: true });
    }
    case "other": {
      const signature = await ask(host, blkidProbe, device);
      const found = signature ? describeSignature(signature) : "data that nobody can identify";
      return otherDisk(device, copy.uuid, `it has ${found}`);
    }
  }
}

/** How the key opens the client's copy of the header; undefined where it does not. */
async function readingOf(
  host: Host,
  inputs: Inputs<typeof definition>,
  last: Reading["keyReading"],
): Promise<Reading | undefined> {
  const { name, keyFile } = inputs;
  const [sealed, options] = [isSealed(inputs), { stdin: keyInput(inputs) }];
  const header = headerFile(name);
  const whole = async (): Promise<Reading | undefined> => {
    const keySlot = await askWith(host, luksOpens, options, header, keyFile, sealed);
    return keySlot === undefined ? undefined : { keyReading: "whole", keySlot };
  };
  const line = async (): Promise<Reading | undefined> => {
    const by = await askWith(host, lineOpens, options, header, keyFile, sealed);
    return by && { keyReading: "first line", keyBytes: by.bytes, keySlot: by.keySlot };
  };
  // Each try takes as long as the key slot wants it to.
  return last === "first line" ? ((await line()) ?? whole()) : ((await whole()) ?? line());
}

/** What is on the attached device, of so many bytes, and how key and header go with it; `last`: what the state knows. */
async function lookInside(
  host: Host,
  inputs: Inputs<typeof definition>,
  last: Place["last"],
  size: number,
): Promise<Seen> {
  const { name, device, keyFile, adopt } = inputs;
  const kept = headerFile(name);
  const place: Place = { name, device, keyFile, size, last, pinned: last?.uuid };
  const sealed = isSealed(inputs);
  const [file, copy, key] = await Promise.all([
    ask(host, statPath, kept),
    ask(host, luksHeader, kept),
    ask(host, statPath, keyFile),
  ]);
  // Once its header was taken, the order means nothing.
  if (!file && key && adopt !== undefined && last?.keyReading === undefined)
    return toAdopt(host, place, adopt, sealed, keyInput(inputs));
  if (!file) return withoutCopy(host, place);
  if (!key && last) return lost(last);
  if (!copy) return foreign(`${kept} is there, but is no LUKS header`, restore);
  if (place.pinned !== undefined && copy.uuid !== place.pinned) {
    return foreign(`${kept} has LUKS UUID ${copy.uuid}, expected ${place.pinned}`, restore);
  }
  const [reading, seen, change] = await Promise.all([
    readingOf(host, inputs, last?.keyReading),
    withCopy(host, place, copy),
    keyChange(host, inputs, copy.uuid),
  ]);
  if (reading === undefined) {
    const or = sealed ? ", or the passphrase is not that of the key file" : "";
    return foreign(`${keyFile} does not open ${kept}: one of them is another disk's${or}`, restore);
  }
  return opened(seen, name, { ...madeWith(host, copy, reading.keySlot), ...reading, ...change });
}

export const luks = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ header: headerFile(name) }),
  check: luksMistakes,
  // What the benchmark made of it is in the header, not the time.
  satisfied: (property) => (property === "iterTime" ? true : undefined),
  keepWhenGone: true,

  async observe(host, inputs, known) {
    const { name, device } = inputs;
    const erased = await halfErased(host, name);
    if (erased) return { is: "foreign", ...erased };
    const layer = await attachedLayer(host, name, device);
    if (layer.is === "hidden") return layer;
    return readThrough(host, name, device, () => lookInside(host, inputs, known.state, layer.device.size));
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return [makeHeader(inputs), writeHeader(inputs)];
    const { headerOnDevice, complete, kept, keyReading, offset } = observed.state;
    if (inputs.adopt !== undefined && !kept && keyReading === undefined)
      return [adoptHeader(inputs, inputs.adopt, offset)];
    // Key and header come back first (Recovery): a key that is not there cannot be changed.
    if (!kept) return [];
    if (!headerOnDevice) return [writeHeader(inputs)];
    return complete ? planKeyChange(observed.state, inputs) : [finishHeader(inputs)];
  },

  planRemoval: () => [],
});
