/**
 * What the two orders to destroy a disk have in common: the note on the host, and when the order is carried out.
 * A removal finds the disk either in a stack (then it withdraws the order) or in none (then it destroys); the layer that
 * tells was removed right before, by the same run. So nothing that fails, and no resource that is merely forgotten by the
 * engine, ever destroys a disk that is in use.
 */
import type { Definition } from "../../schema/define";
import { eraseNote, libDir } from "../../schema/paths";
import { isClaimed } from "../claims";
import { NetdiskError } from "../errors";
import { ask } from "../fact";
import { luks2HeaderRoom } from "../facts/deviceLayout";
import { rawUuid, uuids } from "../facts/luksDevice";
import type { Host } from "../host/host";
import { type Command, sh } from "../host/sh";
import { clearIntent, hasIntent, intentPath, noteIntent } from "../intent";
import type { Hidden, Known, Observation, RunStep, Step } from "../resource";

export interface Order {
  name: string;
  luksUuid: string;
}

export interface OrderState extends Order {
  recorded: boolean;
  inStack: boolean;
  begun: boolean;
}

/** Noted right before the first byte is destroyed, removed after the last. */
export const begunNote = (name: string): string => intentPath("erase", name);

/**
 * Shell functions for a command that destroys: `size_of PATH`, bytes; `room_of PATH`, the length of its header area;
 * `zero PATH`: that holds nothing but zeros; `is_it PATH`: its headers have this UUID and no other; `named_at PATH BYTE`: the
 * UUID is there; `begun`: the destruction was; `held PATH`: what its header area holds, in words; `refuse WHAT CURE`.
 */
export const guards = ({
  name,
  luksUuid,
}: Order): Command => sh`refuse() { echo "$1. This run destroyed nothing. $2, then run the same again." >&2; exit 1; }
size_of() { if test -b "$1"; then blockdev --getsize64 "$1"; else stat -L -c %s -- "$1"; fi; }
room_of() { size=$(size_of "$1") && [ "$size" -gt 0 ] || return 1; if [ "$size" -lt ${luks2HeaderRoom} ]; then echo "$size"; else echo ${luks2HeaderRoom}; fi; }
zero() { room=$(room_of "$1") && dd if="$1" bs=1M count="$room" iflag="count_bytes$(test ! -b "$1" || echo ,direct)" status=none | cmp -s -n "$room" - /dev/zero; }
${uuids}
is_it() { [ "$(uuids "$1")" = ${luksUuid} ]; }
beginning() { dd if="$1" bs=32768 count=1 iflag="fullblock$(test ! -b "$1" || echo ,direct)" status=none; }
named_at() { beginning "$1" | tail -c +$(($2 + 1)) | head -c 36 | grep -aqxF ${luksUuid}; }
begun() { ${hasIntent(begunNote(name), luksUuid)}; }
held() {
  beginning "$1" >/dev/null || { echo "what cannot be read"; return; }
  set -- "$1" $(uuids "$1")
  if [ $# -gt 1 ]; then shift; echo "LUKS UUID $*"
  elif zero "$1"; then echo "nothing but zeros in its first $room bytes"
  else echo "no LUKS UUID, and not only zeros in its first $(room_of "$1") bytes"; fi
}`;

/** Why nothing may be made or changed of a disk whose destruction was begun, or undefined. */
export async function halfErased(
  host: Host,
  name: string,
): Promise<{ what: string; cure: string } | undefined> {
  const note = await host.readFile(begunNote(name));
  return note === undefined ? undefined : unfinished({ name, luksUuid: note.toString("utf8").trim() });
}

const unfinished = ({ name, luksUuid }: Order) => ({
  what: `the erasing of the disk "${name}", LUKS UUID ${luksUuid}, was begun and not finished (${begunNote(name)})`,
  cure: "Take the disk out of the stack and run `pulumi up`, or `pulumi destroy`: that finishes it; then the name is free again.",
});

interface Place {
  /** What has a claim as long as the disk is in a stack. */
  layer: Definition;
  /** Where the disk's header is seen on this host, and what that is in words. */
  path: string;
  called: string;
  /** What is destroyed here, in words. */
  what: string;
}

/** What a look at the order finds; absent also once it was carried out. */
export async function observeOrder(
  host: Host,
  { name, luksUuid }: Order,
  { layer, path, called, what }: Place,
  known: Known<Definition>,
): Promise<Exclude<Observation<OrderState>, Hidden>> {
  const [note, begun, inStack] = await Promise.all([
    host.readFile(eraseNote(name)),
    host.readFile(begunNote(name)),
    // A disk that stays in the program is in a stack, also where it lost its claim and this run could not make it.
    known.asked?.(layer.kind, name) || isClaimed(host, layer, name),
  ]);
  const written = note ?? begun;
  if (written === undefined) {
    if (known.state !== undefined) return { is: "absent" };
    const found = await ask(host, rawUuid, path);
    if (found.length === 1 && found[0] === luksUuid) return { is: "absent" };
    const [has, orElse] =
      found.length === 0
        ? [
            "there is no LUKS header",
            "; where the header was lost, bring the disk back first, without that line",
          ]
        : [`it has ${found.join(", ")}`, ""];
    return {
      is: "foreign",
      what: `${called} is not that of the disk to erase, "${name}" with LUKS UUID ${luksUuid}: ${has}`,
      cure: `Correct its line under \`erase\`, or remove it (\`pulumi stack output disks\` shows the UUIDs)${orElse}.`,
    };
  }
  const [uuid = ""] = written.toString("utf8").split(/\s/);
  if (uuid !== luksUuid) {
    return {
      is: "foreign",
      what: `${note === undefined ? begunNote(name) : eraseNote(name)} has an order to erase the LUKS UUID ${uuid}, not ${luksUuid}`,
      cure: "Correct the UUID, or remove that note to withdraw the order.",
    };
  }
  return {
    is: "present",
    state: { name, luksUuid, recorded: note !== undefined, inStack, begun: begun !== undefined },
    note:
      `ERASE: when the disk "${name}" (LUKS UUID ${luksUuid}) leaves the stack, or the stack is destroyed, ${what} are destroyed for good. ` +
      "To withdraw this, remove its line under `erase` and run `pulumi up` while the disk stays.",
  };
}

type Seen = { is: "absent" } | { is: "present"; state: Pick<OrderState, "recorded" | "inStack" | "begun"> };

/** A destruction that was begun can only be finished. */
function refuseBegun(order: Order): never {
  const { what, cure } = unfinished(order);
  throw new NetdiskError("FOREIGN", `${what}. ${cure}`);
}

/** `content`: a quoted expansion that begins with the UUID. */
export function planOrder(observed: Seen, order: Order, content: Command): Step[] {
  if (observed.is === "present") {
    if (observed.state.begun) refuseBegun(order);
    if (observed.state.recorded) return [];
  }
  const { name, luksUuid } = order;
  return [
    {
      do: "run",
      title: `record the order to ERASE ${name}, LUKS UUID ${luksUuid}, when it leaves the stack or the stack is destroyed`,
      command: noteIntent(eraseNote(name), content),
    },
  ];
}

/** While the disk is in a stack, removal withdraws the order; otherwise it carries it out. */
export function planOrderRemoval(observed: Seen, order: Order, carryOut: RunStep): Step[] {
  if (observed.is === "absent") return [];
  if (!observed.state.inStack) return [carryOut];
  if (observed.state.begun) refuseBegun(order);
  const { name } = order;
  return [{ do: "run", title: `withdraw the order to ERASE ${name}`, command: clearIntent(eraseNote(name)) }];
}

/** The last lines of an order that was carried out; the begun note goes last, so that a kill leaves it. */
export const closeOrder = (name: string): Command =>
  sh`rm -f ${eraseNote(name)} && sync -f ${libDir} && rm -f ${begunNote(name)} && sync -f ${libDir}`;
