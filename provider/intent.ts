/**
 * Notes of a destructive act that has begun. Written to the host's disk right before the first byte, after the
 * proof of blankness, and removed after the last one. When the run dies in between, the note is what tells
 * our own half-made thing from somebody's data, so that the next run may do the act again. The note names
 * the very device; one of another device counts as none.
 */
import { dirname } from "node:path";
import { intentDir } from "../schema/paths";
import type { Host } from "./host/host";
import { type Command, sh } from "./host/sh";

/** Path of the note: `/var/lib/netdisk/intent/luks-photos`. */
export const intentPath = (kind: string, name: string): string => `${intentDir}/${kind}-${name}`;

/** Durable once the command has succeeded. An identity that only the host knows is a Command: a quoted expansion. */
export const noteIntent = (path: string, identity: string | Command): Command =>
  sh`mkdir -p -m 700 ${dirname(path)} && printf '%s\\n' ${identity} >${path}.new && sync ${path}.new && mv -f ${path}.new ${path} && sync ${dirname(path)}`;

/** Succeeds where the note is there and names this identity. */
export const hasIntent = (path: string, identity: string | Command): Command =>
  sh`[ "$(cat ${path} 2>/dev/null)" = ${identity} ]`;

export const clearIntent = (path: string): Command => sh`rm -f ${path} && sync ${dirname(path)}`;

/**
 * - `none`: no note, or one that names another device (which allows nothing);
 * - `begun`: an act on this device was begun and not reported finished.
 */
export async function readIntent(host: Host, path: string, identity: string): Promise<"none" | "begun"> {
  const note = await host.readFile(path);
  return note?.toString("utf8") === `${identity}\n` ? "begun" : "none";
}
