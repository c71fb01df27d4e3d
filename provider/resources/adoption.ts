/** What a disk that was made by hand must be like before it is taken over (docs/adopt.md). Changes nothing. */
import { crypttab, exportFile, fstab, serveConfig } from "../../schema/paths";
import { ask } from "../fact";
import { rawUuid } from "../facts/luksDevice";
import { remains, served } from "../facts/handMade";
import { crypttabLines, fstabLines } from "../facts/tabs";
import type { Host } from "../host/host";

interface Foreign {
  is: "foreign";
  what: string;
  cure: string;
}

const foreign = (what: string, cure: string): Foreign => ({ is: "foreign", what, cure });

/** As it was brought up, the other way round. */
export const takenDown =
  "Take the disk down first as it was brought up: on the client `umount`, `cryptsetup close`, `nbd-client -d`; on the server `losetup --detach` (docs/adopt.md). Then run the same again.";

/**
 * Whether what lies at a path of the server is served already, by hand or as another disk: its lease would not keep this one
 * out, nor ours that one.
 */
async function servedAlready(
  host: Host,
  { name, path, adopt }: { name: string; path: string; adopt: string | undefined },
): Promise<Foreign | undefined> {
  const byNumber = adopt !== undefined;
  const found = await ask(host, served, path, [exportFile(name), serveConfig(name)], byNumber);
  if (found.length === 0) return undefined;
  return foreign(
    `nbd-server is told to serve ${path} already${byNumber ? ", or a loop device by its number" : ""}: ${found.join(", ")}`,
    "Take out these sections that were written by hand: netdisk writes one of its own. One that netdisk wrote for another disk goes when that disk is taken out of its stack, which leaves its data as it is; if that stack no longer exists, remove the file.",
  );
}

/**
 * Whether what lies at a path of the server may become the disk: nobody serves it, and where a disk is to be adopted, it is that
 * one, by its LUKS UUID. Undefined where nothing is to be said.
 */
export async function takeable(
  host: Host,
  wish: { name: string; path: string; adopt: string | undefined },
): Promise<Foreign | { is: "it"; note: string } | undefined> {
  const { path, adopt } = wish;
  const refused = await servedAlready(host, wish);
  if (refused !== undefined || adopt === undefined) return refused;
  const uuids = await ask(host, rawUuid, path);
  if (!uuids.includes(adopt)) {
    const found = uuids.length === 0 ? "no LUKS header" : `LUKS UUID ${uuids.join(", ")}`;
    return foreign(
      `${path} is not the disk to adopt: it has ${found}, expected ${adopt}`,
      "Name the file or device that holds it, or correct its line under `adopt`: `cryptsetup luksUUID` shows the UUID.",
    );
  }
  return {
    is: "it",
    note: `${path} holds the LUKS container ${adopt}, the one to adopt; not a byte of it is changed`,
  };
}

/** Whether the client still has the disk in use, or would bring it up by itself, in the way it was made. */
export async function notTakenDown(host: Host, name: string, adopt: string): Promise<Foreign | undefined> {
  const [{ found, called }, mounts, containers] = await Promise.all([
    ask(host, remains, name, adopt),
    host.readFile(fstab),
    host.readFile(crypttab),
  ]);
  const names = [name, ...called.mappings];
  const line = (file: string) => (text: string) => `${file} has a line for it: ${text}`;
  const left = [
    ...found,
    ...crypttabLines(String(containers ?? ""), names, adopt).map(line(crypttab)),
    ...fstabLines(String(mounts ?? ""), { ...called, mappings: names }).map(line(fstab)),
  ];
  if (left.length === 0) return undefined;
  return foreign(
    `the disk "${name}" is not taken down: ${left.join("; ")}`,
    "End that first (`umount`, `cryptsetup close`, `nbd-client -d`; take the lines out), then run the same again (docs/adopt.md).",
  );
}
