/**
 * A disk of the server with a volatile cache: what was written and not flushed is gone after a power cut. The lab's own
 * power cut keeps all that a host has handed to its disk, so a file system lies on dm-log-writes here, over the spare
 * disk; while the server is off, the disk is made what a flush had made safe.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { durable, entriesOf, type Read } from "./diskLog";
import { install, lab, on, sshConfig } from "./lab";
import { until } from "./run";

/** Where the server mounts it. */
export const volatilePath = "/srv/volatile";

const image = join(dirname(sshConfig), "server-disk.img");
/** The disk as it was when the log began. */
const base = `${image}.base`;
const MiB = 2 ** 20;
/** The disk's part of the spare disk; the log is the rest. */
const bytes = 1024 * MiB;
const sectors = bytes / 512;

// dm-log-writes does not pass on what it has not seen, so it must be there before anybody mounts.
// Without early write-back all that is not flushed would be in the server's memory, and the cache would have nothing to lose.
const script = `#!/bin/sh
set -eu
modprobe dm-log-writes
dmsetup create volatile-data --table "0 ${sectors} linear /dev/ubdb 0"
dmsetup create volatile-log --table "0 $(($(blockdev --getsz /dev/ubdb) - ${sectors})) linear /dev/ubdb ${sectors}"
dmsetup create volatile --table "0 ${sectors} log-writes /dev/mapper/volatile-data /dev/mapper/volatile-log"
mkdir -p ${volatilePath}
mount -o noatime /dev/mapper/volatile ${volatilePath}
echo 1048576 >/proc/sys/vm/dirty_background_bytes
echo 20 >/proc/sys/vm/dirty_expire_centisecs
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
`;

// Before the file systems of fstab, and so before everything that serves a disk.
const unit = `[Unit]
Description=A disk with a volatile cache
DefaultDependencies=no
Requires=dev-ubdb.device
After=dev-ubdb.device systemd-remount-fs.service
Before=local-fs.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/volatile-disk

[Install]
RequiredBy=local-fs.target
`;

const reader =
  (file: number, from = 0): Read =>
  (offset, length) => {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(file, buffer, 0, length, from + offset));
  };

/** Opens files for as long as `act` takes. */
function withFiles<T>(files: Record<string, string>, act: (...opened: number[]) => T): T {
  const opened = Object.entries(files).map(([path, how]) => openSync(path, how));
  try {
    return act(...opened);
  } finally {
    opened.forEach((file) => closeSync(file));
  }
}

/** Calls back with each MiB of the disk as both files have it, where they differ. */
function differences(
  one: number,
  other: number,
  act: (at: number, one: Buffer, other: Buffer) => void,
): void {
  for (let at = 0; at < bytes; at += MiB) {
    const [a, b] = [reader(one)(at, MiB), reader(other)(at, MiB)];
    if (!a.equals(b)) act(at, a, b);
  }
}

function write(file: number, from: Buffer, at: number): void {
  if (writeSync(file, from, 0, from.length, at) !== from.length)
    throw new Error("a file was not written whole");
}

/** Makes the file system and its log on the server, mounted at each boot from now on. */
export async function installVolatileDisk(): Promise<void> {
  await install("server", "dmsetup", "e2fsprogs");
  await on("server", "cat >/usr/local/sbin/volatile-disk && chmod +x /usr/local/sbin/volatile-disk", script);
  await on("server", "cat >/etc/systemd/system/volatile-disk.service", unit);
  await on(
    "server",
    `mkfs.ext4 -q -F -b 4096 -E nodiscard,lazy_itable_init=0 /dev/ubdb ${bytes / 4096} && sync`,
  );
  rmSync(base, { force: true });
  withFiles({ [image]: "r", [base]: "wx+" }, (disk, copy) => {
    ftruncateSync(copy, bytes);
    differences(disk, copy, (at, found) => write(copy, found, at));
  });
  await on("server", "systemctl daemon-reload && systemctl enable --now volatile-disk && sync");
}

/** Makes the disk what was safe at the mark, and begins a new log. Returns the bytes that the cache had besides. */
function loseCache(mark: string): number {
  return withFiles({ [image]: "r+", [base]: "r+" }, (disk, safe) => {
    const log = reader(disk, bytes);
    for (const { discard, at, length, data } of durable(entriesOf(log), mark)) {
      const content = discard ? Buffer.alloc(length) : log(data, length);
      if (content.length !== length) throw new Error("the log ends in the middle of an entry");
      write(safe, content, at);
    }
    let lost = 0;
    differences(disk, safe, (at, found, kept) => {
      for (let sector = 0; sector < MiB; sector += 512) {
        if (found.compare(kept, sector, sector + 512, sector, sector + 512) !== 0) lost += 512;
      }
      write(disk, kept, at);
    });
    const { size } = fstatSync(disk);
    ftruncateSync(disk, bytes);
    ftruncateSync(disk, size);
    return lost;
  });
}

/** Waits until more than a MiB has been written since the disk's last flush, and a moment longer. */
const waitForData = `flushed= since=0
for i in $(seq 600); do
  set -- $(cat /sys/block/ubdb/stat)
  [ "\${16}" = "$flushed" ] || { flushed=\${16} since=$7; }
  [ $(($7 - since)) -lt 2048 ] || { sleep "0.$(($(od -An -N1 -tu1 /dev/urandom) % 5))"; exit 0; }
  sleep 0.05
done
echo 'nothing was written for 30 s' >&2
exit 1`;

let cuts = 0;

/**
 * A power cut that the cache does not survive, and the next boot. Returns the bytes that were lost. The kernel tells a
 * flush done when it is about to log it, so the client must not hear of one that the log may not have: the link goes
 * first, then a mark is set behind what is waiting to be logged, and that is the moment of the power cut.
 */
export async function cutPowerAndCache(): Promise<number> {
  const mark = `cut-${++cuts}`;
  await on("server", waitForData);
  await lab("link", "cut");
  await on("server", `dmsetup message volatile 0 mark ${mark}`);
  await until(`"${mark}" is in the log`, 60, async () =>
    withFiles({ [image]: "r" }, (disk) =>
      entriesOf(reader(disk, bytes)).some((entry) => entry.mark === mark),
    ),
  );
  // Ends once all that was written to the log has reached the disk.
  await on("server", "dmsetup suspend --noflush --nolockfs volatile-log");
  await lab("power", "cut", "server");
  const lost = loseCache(mark);
  await lab("link", "heal");
  await lab("power", "on", "server");
  return lost;
}
