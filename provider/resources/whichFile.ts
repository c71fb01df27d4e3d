/** Which file is a disk's: the note of it on the server, and what is no disk of ours. */
import type { Inputs } from "../../schema/define";
import { madeDir, madeNote } from "../../schema/paths";
import type { backingFile as definition } from "../../schema/server";
import { ask } from "../fact";
import { rawUuid } from "../facts/luksDevice";
import type { Takeover } from "../facts/takeover";
import type { Host } from "../host/host";
import { type Command, sh } from "../host/sh";
import { fileNote } from "./madeNote";

export const noted = "noted";
export const unnoted = "not noted";

/** How `is` of a file (facts/allocation.ts) stands to the disk's note: as templates/same-file.sh judges and says it. Pure. */
export function identityOf(note: string | undefined, is: string): string {
  const [, wasInode, wasBirth] = fileNote.exec(note ?? "") ?? [];
  const [, inode, birth] = fileNote.exec(is) ?? [];
  if (wasInode === undefined) return unnoted;
  if (inode === wasInode && (birth === wasBirth || birth === "0" || wasBirth === "0")) return noted;
  const words = (at?: string, since?: string): string =>
    since === "0"
      ? `inode ${at}`
      : `inode ${at} of ${new Date(Number(since) * 1000).toISOString().replace(".000", "")}`;
  return `${words(inode, birth)}; noted is ${words(wasInode, wasBirth)}`;
}

/** Notes which file is the disk's (templates/same-file.sh): the words of `create`, also for a human who knows. */
export const noteMade = (name: string, path: string): Command =>
  sh`mkdir -p ${madeDir} && stat -c '%i %W' -- ${path} >${madeNote(name)}`;

/**
 * Why a file that was there before is not taken for this disk's, or undefined. A header is anybody's: without state, note or
 * order to adopt it nothing of it is changed, and the client never sees it. Of what the note names otherwise plan tells.
 */
export async function refusal(
  host: Host,
  { name, path }: Pick<Inputs<typeof definition>, "name" | "path">,
  { holds, identity }: { holds: Takeover; identity: string },
): Promise<{ what: string; cure: string } | undefined> {
  const say = noteMade(name, path).text;
  if (holds === "LUKS" && identity === unnoted) {
    const uuids = await ask(host, rawUuid, path);
    return {
      what: `the LUKS container ${uuids.join(", ")}, and is not noted as the disk "${name}"`,
      cure:
        "Name another path. A disk that was made by hand is taken over by its UUID (`adopt`, docs/adopt.md). " +
        `If it is this very disk and the server was set up anew, say so there: \`${say}\`.`,
    };
  }
  if (typeof holds !== "object") return undefined;
  return {
    what: `${holds.foreign}: neither blank nor a disk of netdisk`,
    cure:
      "Name another path, or remove the file yourself if you know that it may go. " +
      `If it is this very disk, without its header, say so on the server: \`${say}\`.`,
  };
}
