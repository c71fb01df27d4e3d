/** A backing on a file system of its own, on the server's spare disk, which can be made full, bad or read-only. */
import { serveConfig } from "../../../schema/paths";
import { sh } from "../../../provider/host/sh";
import { extentsOf } from "./extents";
import { install, on } from "./lab";
import { name } from "./outage";

const mapping = "faulty";
const directory = "/srv/faulty";
const sectors = (700 * 2 ** 20) / 512;

/** Sparse, and so that what else the file system holds can keep it from growing. */
export const backing = { path: `${directory}/${name}.img`, size: "512 MiB", allocation: "sparse" } as const;

/** Through device-mapper, whose table can be exchanged under a file system that is mounted. */
export async function makeFileSystem(): Promise<void> {
  await install("server", "dmsetup", "e2fsprogs");
  await on(
    "server",
    sh`dmsetup create ${mapping} && mkfs.ext4 -q -m 0 ${`/dev/mapper/${mapping}`} &&
mkdir -p ${directory} && mount ${`/dev/mapper/${mapping}`} ${directory}`.text,
    table([]),
  );
}

/** A table of device-mapper in which these sectors are bad, and no others. */
function table(bad: { start: number; length: number }[]): string {
  const lines: string[] = [];
  let done = 0;
  const good = (end: number): void => {
    if (end > done) lines.push(`${done} ${end - done} linear /dev/ubdb ${done}`);
  };
  for (const { start, length } of [...bad].sort((a, b) => a.start - b.start)) {
    good(start);
    lines.push(`${start} ${length} error`);
    done = start + length;
  }
  good(sectors);
  return `${lines.join("\n")}\n`;
}

/** Without a freeze of the file system, which fails where its data can't be written. */
const exchange = (wish: string): Promise<unknown> =>
  on(
    "server",
    sh`dmsetup load ${mapping} && dmsetup suspend --nolockfs --noflush ${mapping} && dmsetup resume ${mapping}`
      .text,
    wish,
  );

/** A file that is open for writing keeps its file system writable: for a moment there must be no session. */
const remountReadOnly = sh`tries=0
until mount -o remount,ro ${directory}; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || exit 1
  pkill -KILL -f ${`^nbd-server -d -C ${serveConfig(name)}`} || true
done`.text;

export interface BackingFault {
  /** What `netdisk status` says. */
  cause: RegExp;
  begin(): Promise<unknown>;
  cure(): Promise<unknown>;
}

const ballast = `${directory}/ballast`;

export const backingFaults: Readonly<Record<string, BackingFault>> = {
  "ENOSPC: the backing's file system is full": {
    cause: /error: .*No space left on device/,
    begin: () =>
      on(
        "server",
        // As far as it goes, and the last blocks one by one: a file takes some blocks besides its own.
        sh`fallocate -l "$(df --output=avail -B1 ${directory} | tail -n 1)" ${ballast} 2>/dev/null || true
dd if=/dev/zero of=${`${ballast}.rest`} bs=4k status=none 2>/dev/null || true
sync -f ${directory} && test "$(df --output=avail -B1 ${directory} | tail -n 1)" -eq 0`.text,
      ),
    cure: () => on("server", sh`rm ${ballast} ${`${ballast}.rest`}`.text),
  },
  "EIO: the backing's sectors are bad": {
    cause: /error: .*Input\/output error/,
    begin: async () => exchange(table(await extentsOf("server", backing.path))),
    cure: () => exchange(table([])),
  },
  "EROFS: the backing's file system is read-only": {
    cause: /refused: the backing cannot be opened: .*Read-only file system/,
    begin: () => on("server", remountReadOnly),
    cure: () => on("server", `mount -o remount,rw ${directory}`),
  },
};
