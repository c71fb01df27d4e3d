/**
 * Another key for the same disk, in place: the volume key stays, so the mapping and whoever uses it notice nothing.
 * `keySlot` is the wish; a key has its slot, so what the header says is what there is, also after the pair was put back
 * from a sealed copy. What a kill leaves, and what the next run makes of it:
 * - before the note: nothing; begins anew.
 * - after it, while the header file has its old name: a new key that opens nothing; begins anew.
 * - after the new header file has its name: both keys open it. It is written to the device, then the new key takes the
 *   key file's name. Where the new key was lost meanwhile, its slot is dropped, and the change begins anew.
 * - after the key file is the new one: both open; the old key's slot is dropped, on the device first, which until the
 *   header file follows is written again.
 * - after that, before the note is removed: leftovers and note are removed.
 * No other slot than these two is touched, and none is dropped before the key file has opened another one right there.
 */
import { basename, dirname } from "node:path";
import { luks as definition } from "../../schema/crypt";
import type { Inputs, State } from "../../schema/define";
import type { KeyReading } from "../../schema/fields";
import { headerFile } from "../../schema/paths";
import { othersWith } from "../claims";
import { NetdiskError } from "../errors";
import { ask, askWith } from "../fact";
import { changeText, parseChangeNote } from "../facts/changeNote";
import { luksOpens } from "../facts/cryptsetup";
import { gpgBy, sealing } from "../facts/gpgCommand";
import { compareHeader } from "../facts/luksDevice";
import { derivationMs, firstLine, isSealed, keyInput, plainKey, tryingKey, unseal } from "../facts/plainKey";
import { statPath } from "../facts/stat";
import type { Host } from "../host/host";
import { Command, sh } from "../host/sh";
import { clearIntent, intentPath, noteIntent } from "../intent";
import type { RunStep, Step } from "../resource";
import { derivation, trim, usedPart, writeHeader } from "./luksSteps";

type Wishes = Inputs<typeof definition>;
type Seen = State<typeof definition>;
export type KeyChange = Pick<Seen, "settled" | "changeFrom" | "changeTo" | "newKeyOpens">;

export const changeNote = (name: string): string => intentPath("key", name);

/** Where the key lies: the new one before it has the key file's name, the old one after that. */
const beside = (keyFile: string, what: "next" | "old"): string =>
  `${dirname(keyFile)}/.${basename(keyFile)}.${what}`;
export const backup = (name: string): string => `${headerFile(name)}.before`;

/** Of what a change leaves until it is finished, the keys: the other one that opens the disk. */
export const keysBeside = (keyFile: string): string[] => [beside(keyFile, "next"), beside(keyFile, "old")];

/** What a change leaves until it is finished; it opens the disk. */
export const leftovers = ({ name, keyFile }: Pick<Wishes, "name" | "keyFile">): string[] => [
  ...keysBeside(keyFile),
  backup(name),
];

/** For a command: prints the other disks on this client that open by the very same file. */
export const alsoOpenedBy = ({ name, keyFile }: Pick<Wishes, "name" | "keyFile">): Command =>
  othersWith(definition, name, "keyFile", keyFile);

/** Where a change of this disk's key was begun, how far it is. */
export async function keyChange(host: Host, inputs: Wishes, uuid: string): Promise<KeyChange> {
  const text = await host.readFile(changeNote(inputs.name));
  const note = parseChangeNote(String(text ?? ""));
  if (note?.luksUuid !== uuid)
    return { settled: true, changeFrom: undefined, changeTo: undefined, newKeyOpens: undefined };
  const next = beside(inputs.keyFile, "next");
  const made = await ask(host, statPath, next);
  const opens =
    made &&
    (await askWith(
      host,
      luksOpens,
      { stdin: keyInput(inputs) },
      headerFile(inputs.name),
      next,
      isSealed(inputs),
    ));
  return {
    settled: false,
    changeFrom: note.from,
    changeTo: note.to,
    newKeyOpens: opens === note.to,
  };
}

/**
 * Functions `key` and `new_key` print the two keys, of the first as much as is read of it; `key_file` all of it.
 * `opens WHICH SLOT HEADER` tries one of them.
 */
function withKeys({ keyFile, ...inputs }: Wishes, reading: KeyReading = "whole"): Command {
  const sealed = isSealed(inputs);
  const next = beside(keyFile, "next");
  const print = (file: string) => (sealed ? plainKey(file) : sh`cat ${file}`);
  const part = reading === "whole" ? sh`` : sh` | ${firstLine}`;
  return sh`${unseal(keyFile, sealed)}umask 077
key_file() { ${print(keyFile)}; }
key() { key_file${part}; }
new_key() { ${print(next)}; }
opens() { "$1" | ${tryingKey} --key-slot "$2" --key-file - "$3"; }`;
}

const headerSize = new Command('"$size"');

/** Versions of netdisk that let two disks have one key file left such disks. */
const sharedCure =
  "which a new key would lock for good: nothing was changed. Take that disk out of its stack (`pulumi up` gives it back unharmed), copy the key file, and put the disk back with the copy as its `key.gpg`; then run the same again.";

/** The header is backed up, changed in a copy, and tried before the copy takes its name. */
function addKey(inputs: Wishes, seen: Seen, from: number, to: number): RunStep {
  const { name, keyFile } = inputs;
  const { uuid, keyReading } = seen;
  const kept = headerFile(name);
  const made = `${kept}.new`;
  const next = beside(keyFile, "next");
  const make = isSealed(inputs)
    ? sh`printf '%s\\n' "$passphrase" | { exec 3<&0 && head -c "$bytes" /dev/urandom | ${gpgBy(3)} ${sealing} --output ${next}; }`
    : sh`head -c "$bytes" /dev/urandom >${next}`;
  return {
    do: "run",
    title: `make a new key and add it to the header as key slot ${to} (cryptsetup luksAddKey)`,
    command: sh`others=$(${alsoOpenedBy(inputs)}) || exit 1
[ -z "$others" ] || { echo ${keyFile} is the key of "$others", too, ${sharedCure} >&2; exit 1; }
${withKeys(inputs, keyReading)}
rm -f ${[made, next, backup(name)]} && ${noteIntent(changeNote(name), changeText({ from, to, luksUuid: uuid }))} || exit 1
size=$(stat -c %s ${kept}) && ln -T ${kept} ${backup(name)} && cp -T ${kept} ${made} && sync ${dirname(kept)} || exit 1
bytes=$(key_file | wc -c) && [ "$bytes" -ge 8 ] && ${make} && [ "$(new_key | wc -c)" = "$bytes" ] && chmod 0400 ${next} && sync ${[next, dirname(next)]} || exit 1
key | { exec 3<&0 && new_key | cryptsetup luksAddKey -q --key-slot ${to} ${derivation(inputs)} --key-file /dev/fd/3 ${made} /dev/fd/0; } || exit 1
opens key ${from} ${made} && opens new_key ${to} ${made} || { echo the new header does not open with both keys: nothing was changed >&2; exit 1; }
${trim(made, headerSize)} && mv -fT ${made} ${kept} && sync ${dirname(kept)}`,
    stdin: keyInput(inputs),
    timeoutMs: derivationMs,
  };
}

function replaceKey(inputs: Wishes, to: number): RunStep {
  const { name, keyFile } = inputs;
  return {
    do: "run",
    title: `let the new key take the place of ${keyFile}`,
    command: sh`${withKeys(inputs)}
opens new_key ${to} ${headerFile(name)} && rm -f ${beside(keyFile, "old")} && ln -T ${keyFile} ${beside(keyFile, "old")} && mv -fT ${beside(keyFile, "next")} ${keyFile} && sync ${dirname(keyFile)}`,
    stdin: keyInput(inputs),
    timeoutMs: derivationMs,
  };
}

/** What the slot's area held goes from the device, too: as many bytes are written as were in use before. */
function dropSlot(inputs: Wishes, slot: number, keep: number, reading?: KeyReading): RunStep {
  const { name, device } = inputs;
  const kept = headerFile(name);
  const made = `${kept}.new`;
  return {
    do: "run",
    title: `destroy key slot ${slot} (cryptsetup luksKillSlot), which the key in slot ${keep} does not need`,
    command: sh`${withKeys(inputs, reading)}
size=$(stat -c %s ${kept}) && used=$(${usedPart(kept)}) && rm -f ${made} && cp -T ${kept} ${made} && opens key ${keep} ${made} || exit 1
key | cryptsetup luksKillSlot -q --key-file - ${made} ${slot} && opens key ${keep} ${made} && ${trim(made, headerSize)} || exit 1
[ "$used" -gt 32768 ] && used_now=$(${usedPart(made)}) && [ "$used" -ge "$used_now" ] || exit 1
relation() ${compareHeader(device, kept, new Command('"$used"'))}
found=$(relation) || exit 1
case $found in equal | ours) ;; *) echo ${device} has another header or other data now >&2; exit 1 ;; esac
dd if=${made} of=${device} bs="$used" count=1 iflag=fullblock conv=nocreat,notrunc,fsync status=none &&
dd if=${device} bs="$used" count=1 iflag=direct,fullblock status=none | cmp -s -n "$used" - ${made} || { echo ${device} does not hold what was written to it >&2; exit 1; }
mv -fT ${made} ${kept} && sync ${dirname(kept)}`,
    stdin: keyInput(inputs),
    timeoutMs: derivationMs,
  };
}

const finish = (inputs: Wishes): RunStep => ({
  do: "run",
  title: "shred the old key, the header's backup and the note of the change",
  command: sh`for file in ${leftovers(inputs)}; do
  if test -e "$file"; then shred --force --iterations=1 --remove=wipe "$file" || exit 1; fi
done
${clearIntent(changeNote(inputs.name))}`,
});

/** A change that was begun is finished first, whatever is wished by now. */
export function planKeyChange(seen: Seen, inputs: Wishes): Step[] {
  const { keySlot, keyReading, slots, changeFrom, changeTo } = seen;
  const to = changeTo ?? inputs.keySlot;
  if (to === undefined || keySlot === undefined) return [];
  const last = (from: number) => [dropSlot(inputs, from, to), finish(inputs)];
  if (keySlot !== to) {
    if (!slots.includes(to)) {
      return [
        addKey(inputs, seen, keySlot, to),
        writeHeader(inputs),
        replaceKey(inputs, to),
        ...last(keySlot),
      ];
    }
    if (changeTo === undefined) {
      throw new NetdiskError(
        "CONFIG",
        `key slot ${to} of ${headerFile(inputs.name)} holds a key that netdisk did not put there. ` +
          `Choose a slot that is free (in use: ${slots.join(", ")}), or remove that key from the header.`,
      );
    }
    return seen.newKeyOpens === true
      ? [replaceKey(inputs, to), ...last(keySlot)]
      : [dropSlot(inputs, to, keySlot, keyReading)];
  }
  if (changeTo === undefined) return [];
  return changeFrom !== undefined && slots.includes(changeFrom) ? last(changeFrom) : [finish(inputs)];
}
