/**
 * The order to destroy a disk, the client's part (schema/erase.ts, docs/erase.md). Recorded by `up`; carried out when
 * this resource is removed and the disk is in no stack any more. What a kill leaves, and what the next run makes of it:
 * - before the note of the destruction: nothing is destroyed; begins anew.
 * - after it: the device still shows its UUID, or all that was to be zeroed is; header, key and sealed copy are each as they
 *   were or gone; each is destroyed, if it is there.
 * - the note of the destruction goes last, after the order's own: as long as it is there, the disk is neither made anew
 *   nor taken over (halfErased).
 */
import { luks as layer } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import { erase as definition } from "../../schema/erase";
import { attachUnit, headerFile, recoveryFile } from "../../schema/paths";
import { inUse, refuseUsed } from "../facts/deviceUsers";
import { sh } from "../host/sh";
import { noteIntent } from "../intent";
import { type RunStep, resourceType } from "../resource";
import { begunNote, closeOrder, guards, observeOrder, planOrder, planOrderRemoval } from "./eraseOrder";
import { alsoOpenedBy, backup, changeNote, keysBeside } from "./keyChange";

type Wishes = Inputs<typeof definition>;

/**
 * Identity first: nothing is destroyed before the device has shown that it is this disk, or that there is nothing left to
 * destroy. The device goes first: with the key still there, a run that is killed can be told from one that never began. A
 * key that opens another disk, too, stays: this disk's header is gone without it.
 *
 * Of the device the sector with the UUID goes last, and only when all else is written out. Zeros at a beginning would be no
 * proof of whose it is, in the middle of a write: whole file systems leave their first 32 or 64 KiB empty (ISO 9660, btrfs).
 * A sector, because a device may write a part of a longer piece when the power goes.
 */
function destroy(inputs: Wishes): RunStep {
  const { name, luksUuid, device, keyFile } = inputs;
  const [header, sealed] = [headerFile(name), recoveryFile(name)];
  const unit = attachUnit(name);
  return {
    do: "run",
    title: `ERASE ${name}, LUKS UUID ${luksUuid}`,
    command: sh`umask 077
${guards(inputs)}
timeout 60 systemctl start ${unit} || refuse ${`the server cannot be reached (${unit} does not start)`} "Put that right"
${refuseUsed(device)}
size=$(size_of ${device}) || exit 1
room=$(room_of ${device}) || exit 1
cure="Put that right"
if begun; then
  cure="Bring that disk back behind it"
  [ -n "$(uuids ${device})" ] || cure="$cure, or, if this is it for certain, write zeros over its first $room bytes"
fi
is_it ${device} || { begun && zero ${device}; } || refuse ${`${device} is not the disk with LUKS UUID ${luksUuid}, it holds`}" $(held ${device})" "$cure"
if test -e ${header} && ! begun; then
  is_it ${header} || refuse ${`${header} is not that of LUKS UUID ${luksUuid}`} "$cure"
fi
last=0
if named_at ${device} 16552 && ! named_at ${device} 168; then last=16384; fi
wipe() { dd if=/dev/zero of=${device} bs=1M seek="$1" count="$2" oflag=seek_bytes iflag=count_bytes conv=nocreat,notrunc,fsync status=none; }
${noteIntent(begunNote(name), luksUuid)} || exit 1
wipe 0 $last && wipe $((last + 512)) $((room - last - 512)) && wipe $last 512 && zero ${device} || exit 1
if test -e ${header}; then cryptsetup luksErase -q ${header} || echo ${`${header} was damaged already`}; fi
keys=$(${alsoOpenedBy(inputs)}) || exit 1
if [ -n "$keys" ]; then
  set --
  keys=${`, but not ${keyFile}, which is the key of`}" $keys, too"
else
  set -- ${[keyFile, ...keysBeside(keyFile)]}
  keys=${`, ${keyFile}`}
fi
for file in ${header} "$@" ${[sealed, backup(name)]}; do
  if test -e "$file"; then shred --force --iterations=1 --remove=wipe "$file" && sync "$(dirname "$file")" || exit 1; fi
done
rm -f ${changeNote(name)} || exit 1
systemctl stop ${unit} || exit 1
${closeOrder(name)} || exit 1
echo ${`ERASED the disk ${name}, LUKS UUID ${luksUuid}`}: the header on ${device} "($size bytes)", ${`${header}, ${sealed}`}"$keys"`,
    inUse,
    report: true,
    timeoutMs: 600_000,
  };
}

export const erase = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  async observe(host, inputs, known) {
    const { device, keyFile } = inputs;
    const path = headerFile(inputs.name);
    const place = {
      layer,
      path,
      called: `${path} on this client`,
      what: `the header on ${device}, the client's header and key, and the sealed copy`,
    };
    const order = await observeOrder(host, inputs, place, known);
    return order.is === "present" ? { ...order, state: { ...order.state, device, keyFile } } : order;
  },

  plan: (observed, inputs) => planOrder(observed, inputs, sh`${inputs.luksUuid}`),
  planRemoval: (observed, inputs) => planOrderRemoval(observed, inputs, destroy(inputs)),
});
