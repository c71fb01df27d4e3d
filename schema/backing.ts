/** What may lie under an export besides a plain file: a loop device over it, or a real disk. */
import * as z from "zod";
import { define, field } from "./define";
import { absolutePath, account, adoptField, canonicalSize, nameField, size, smallestDisk } from "./fields";

export const loopDevice = define({
  token: "netdisk:index:LoopDevice",
  kind: "loop-device",
  doc: "A loop device over the backing file, the article's `losetup -f`: set up at boot before nbd-server by a unit of its own, found by its file and never by its number, always reached as /dev/netdisk/NAME. Removal detaches it and leaves the file as it is.",
  shared: false,
  inputs: {
    name: nameField,
    file: field(absolutePath, {
      doc: "Path of the file on the server.",
      role: "fixed",
      cure: "Keep the path: a different file is a different disk.",
      example: "/var/lib/netdisk/testdisk.img",
    }),
    size: field(size, {
      doc: "Size of the file; the device has all whole sectors of it. One that was set up over a smaller file is told of the new size.",
      canonical: canonicalSize,
      example: "20 GiB",
    }),
    owner: field(account.default("nbd"), {
      doc: "User that may open the device: the one nbd-server runs as.",
    }),
  },
  conditions: {
    installed: { value: true, doc: "Unit, script and udev rule have exactly our text, and systemd runs it." },
    enabled: { value: true, doc: "Set up at boot." },
    active: { value: true, doc: "The unit is active and the file is behind a loop device of its making." },
    directIo: {
      value: true,
      doc: "The device goes past the page cache of the file: bytes are not cached twice, and a flush is one.",
    },
    others: {
      value: "none",
      doc: "Other loop devices over the same file; whoever writes through one would write into the disk.",
    },
    reachable: {
      value: true,
      doc: "The owner can open /dev/netdisk/NAME for reading and writing (tried as that user).",
    },
  },
  outputs: {
    device: field(z.string(), { doc: "`/dev/netdisk/NAME` on the server, whatever number the device has." }),
    unit: field(z.string(), { doc: "The systemd unit on the server, `netdisk-loop@NAME.service`." }),
  },
});

/** A path that leads to the same disk at every boot, as far as a path can. */
const stableDevice = z
  .string()
  .regex(
    /^\/dev\/(disk\/by-(id|path|partuuid)|mapper)\/[^/]+$/,
    "must be a path that stays: /dev/disk/by-id/… (`ls -l /dev/disk/by-id` on the server), by-partuuid/…, by-path/… or /dev/mapper/…; a name such as /dev/sdb may be another disk after the next boot",
  );

export const blockDevice = define({
  token: "netdisk:index:BlockDevice",
  kind: "block-device",
  doc: `A real disk of the server, a partition or a logical volume: the article's "real disk". It is taken only when it has ${smallestDisk} or more, is blank and nothing on the server uses it, or when it was taken for this disk before. Nothing is ever written to it on the server, and removal leaves it as it is.`,
  shared: false,
  inputs: {
    name: nameField,
    path: field(stableDevice, {
      doc: "Path on the server that stays: below /dev/disk/by-id, by-partuuid or by-path, or in /dev/mapper.",
      role: "fixed",
      cure: "Keep the path: a different device is a different disk.",
      example: "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
    }),
    owner: field(account.default("nbd"), {
      doc: "User that may open the device: the one nbd-server runs as.",
    }),
    adopt: adoptField(
      "the device is taken although it is not blank, if it begins with this LUKS container and nobody uses or serves it any more.",
    ),
  },
  conditions: {
    exists: { value: true, doc: "The device is there. Nothing takes the place of one that is gone." },
    taken: {
      value: true,
      doc: "The server has a note that this very device holds this disk, written once it was found blank; it lasts beyond the removal of the resource.",
    },
    installed: { value: true, doc: "The udev rule that gives the device its owner has exactly our text." },
    reachable: {
      value: true,
      doc: "The owner can open the device for reading and writing (tried as that user).",
    },
    users: {
      value: "none",
      doc: "What else on the server uses the device: its partitions, mounts, swap, devices built on it.",
    },
  },
  outputs: {
    identity: field(z.string(), {
      doc: "What tells the device from any other: its WWN, serial number, partition UUID or device-mapper UUID. It is pinned: another disk behind the same path is refused.",
    }),
    size: field(size, {
      doc: "Size of the device. One that was grown takes its disk with it at the next `pulumi up`; one that was cut is refused.",
    }),
  },
});
