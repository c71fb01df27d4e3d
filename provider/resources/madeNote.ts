/**
 * What the note of a disk on its server (schema/paths.ts, madeNote) says: which file, or which device, is the disk's. A kind of
 * backing never writes over the other's note: that one says where the disk's data is. Pure.
 */
import { diskTarget, madeNote } from "../../schema/paths";
import { type Size, sizeBytes } from "../../schema/size";
import { sh } from "../host/sh";

/** Inode, and second of birth. */
export const fileNote = /^([0-9]+) ([0-9]+)\n?$/;

/** WWN, serial number or UUID, and the size: the words of the note, for a human, too. */
export const deviceNote = (identity: string, size: Size): string => `${identity}, ${size}`;

/** Whether the note is of this very device, which may have grown since. */
export function isNoted(note: string, identity: string, bytes: number): boolean {
  const beginning = `${identity}, `;
  if (!note.startsWith(beginning)) return false;
  const noted = sizeBytes(note.slice(beginning.length).trimEnd());
  return noted !== undefined && noted <= bytes;
}

/** Why a disk's backing is no `kind` while its note is of the other one, or undefined. */
export function otherKind(
  name: string,
  kind: "file" | "device",
  note = "",
): { is: "foreign"; what: string; cure: string } | undefined {
  const is = fileNote.test(note) ? "file" : note.trim() === "" ? undefined : "device";
  if (is === undefined || is === kind) return undefined;
  const path = madeNote(name);
  return {
    is: "foreign",
    what: `the disk "${name}" was in a ${is}, not in a ${kind}: ${path} says "${note.trim()}"`,
    cure:
      `Give the disk its ${is} back. If the ${kind} holds a copy that was made while the disk was down, or the ${is}'s data may go, take the ` +
      `disk down on the client (\`systemctl stop ${diskTarget(name)}\`), then remove the note on the server: \`${sh`rm ${path}`.text}\`.`,
  };
}
