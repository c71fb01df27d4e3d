/** What may lie under an export besides a plain file: a loop device over it, or a real disk. */
import * as z from "zod";
import { define, field } from "./define";
import { absolutePath, account, canonicalSize, nameField, size } from "./fields";

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
