/** What makes a private disk of the attached device: key, LUKS header, recovery blob, mapping, file system, mount. */
import * as z from "zod";
import { define, field } from "./define";
import {
  absolutePath,
  adoptField,
  canonicalSize,
  keyPassphrase,
  keyReading,
  keyReadings,
  nameField,
  passphrase,
  size,
  transportField,
} from "./fields";
import { mountPoint } from "./mountPoint";

const cipherCure =
  "Keep what the disk was made with; to change it, make a second disk with the new parameters and copy the files.";

const mountOption = z
  .string()
  .regex(/^[^,\s]+$/, "must be one option, without commas and blanks: give each an item of its own")
  // The mapping is opened without --allow-discards: no mount would ever have it in effect, and each run would fail.
  .regex(
    /^(?!discard(=|$))/,
    "must be left out: the mapping passes no discards on, which would show the server which blocks are free",
  );

const locked = field(z.boolean(), {
  doc: "The disk waits for the passphrase of its key, as after each boot of the client. That is in order, and no difference in a preview.",
});

const unlock = field(z.boolean().default(true), {
  doc: "Whether a disk that waits for its passphrase is to be opened. A program gives false in a preview (`isDryRun`): then a locked disk is no difference.",
});

const keySlot = field(z.int().min(0).max(7).optional(), {
  doc: "Key slot of the disk's key, 0 to 7. Another number than now changes the key, in place and while the disk is in use: a new one is made, its slot verified, the key file replaced, the old slot destroyed, and the sealed copy renewed (docs/keys.md). Default: the slot that it has, 0 in a new disk.",
  example: 1,
});

export const luksKey = define({
  token: "netdisk:index:LuksKey",
  kind: "luks-key",
  doc: "The disk's key: random bytes from the client's kernel, kept on the client (0400). It leaves it only sealed, by Recovery, in the stack's state. Stays when the resource is removed.",
  shared: false,
  inputs: {
    name: nameField,
    bytes: field(z.int().min(32).max(4096).default(64), {
      doc: "Length of the key, bytes.",
      role: "fixed",
      cure: "Keep the key; its length cannot change without a new one.",
    }),
    gpg: field(absolutePath.optional(), {
      doc: "Path on the client of a key file that `gpg --symmetric` seals, as the article's does; made if missing, and no other disk's. Then the client's disk holds the key in no other form, and a disk waits for the passphrase when the client has booted. Default: a plain key file that only root can read.",
      role: "fixed",
      cure: "Keep the key where it is and as it is.",
      example: "/etc/netdisk/testdisk-key.asc",
    }),
    passphrase: field(passphrase.optional(), {
      doc: "Passphrase of the sealed key file.",
      role: "unobserved",
      secret: true,
    }),
    adopt: adoptField("its key must be there, and none is made."),
  },
  conditions: {
    private: {
      value: true,
      doc: "Owned by root, mode 0400; a plain key also in a directory that only root can enter.",
    },
    sealed: {
      value: true,
      doc: "The key file opens with the passphrase, where it is sealed. One that opens with the passphrase of the last run is sealed anew.",
    },
    exists: {
      value: true,
      doc: "The key is on the client. One that was there and is gone is never made anew: Recovery puts it back.",
    },
  },
  outputs: {
    path: field(z.string(), { doc: "Path of the key file on the client." }),
    openedBy: field(z.string().optional(), {
      doc: "Passphrase that the sealed key file last opened with.",
      secret: true,
    }),
  },
});

export const attachedDevice = field(absolutePath, {
  doc: "The attached device.",
  role: "fixed",
  cure: "Keep it.",
  example: "/dev/netdisk/testdisk",
});

export const keyFile = field(absolutePath, {
  doc: "Key file on the client.",
  role: "fixed",
  cure: "Keep it.",
});

export const luks = define({
  token: "netdisk:index:Luks",
  kind: "luks",
  doc: "The LUKS container on the attached device; the article's `cryptsetup luksFormat`, done only when the device is proven blank. The client keeps the header that is used, and never takes the device's, but for that of a disk to adopt: what the server does to its copy cannot weaken the encryption. Stays when the resource is removed.",
  shared: false,
  inputs: {
    name: nameField,
    device: attachedDevice,
    keyFile,
    keyPassphrase,
    type: field(z.enum(["luks1", "luks2"]).default("luks2"), {
      doc: "LUKS version. `luks1` is the article's.",
      role: "fixed",
      cure: cipherCure,
    }),
    cipher: field(z.enum(["aes-xts-plain64", "twofish-cbc-essiv:sha256"]).default("aes-xts-plain64"), {
      doc: "`--cipher`. `twofish-cbc-essiv:sha256` is the article's: whoever can change the stored bytes can flip chosen bits of the plain text, which the default's mode does not allow.",
      role: "fixed",
      cure: cipherCure,
    }),
    keySize: field(z.literal([256, 512]).default(512), {
      doc: "`--key-size`, bits. A disk with `twofish-cbc-essiv:sha256` has 256, and that as its default.",
      role: "fixed",
      cure: cipherCure,
    }),
    hash: field(z.enum(["sha256", "sha512"]).default("sha256"), {
      doc: "`--hash` of the key slot.",
      role: "fixed",
      cure: cipherCure,
    }),
    pbkdf: field(z.enum(["argon2id", "pbkdf2"]).default("argon2id"), {
      doc: "`--pbkdf` of the key slot. A disk with `luks1` has `pbkdf2`, and that as its default.",
      role: "fixed",
      cure: cipherCure,
    }),
    iterTime: field(z.int().min(10).max(60_000).optional(), {
      doc: "`--iter-time`: milliseconds that each opening of the disk, and each look at it by Pulumi, may spend on the key slot. Default: fixed costs of well under a second, because a random key cannot be guessed.",
      role: "fixed",
      cure: cipherCure,
      example: 5000,
    }),
    sectorSize: field(z.literal([512, 4096]).default(4096), {
      doc: "`--sector-size`, bytes. A disk with `luks1` has 512, and that as its default.",
      role: "fixed",
      cure: cipherCure,
    }),
    adopt: adoptField(
      "its header is copied from the device, once, if the key opens it and all else is as wished here. Nothing is written to the device.",
    ),
    keySlot,
  },
  conditions: {
    headerOnDevice: {
      value: true,
      doc: "The header on the device is the same LUKS container, byte for byte the client's copy.",
    },
    complete: { value: true, doc: "No note of an interrupted luksFormat is left." },
    settled: { value: true, doc: "No change of the key was begun and not finished." },
    kept: {
      value: true,
      doc: "The client has its copy of the header, and the key. What it has lost is put back by Recovery; the device's header is taken only to adopt a disk.",
    },
  },
  outputs: {
    uuid: field(z.string(), { doc: "LUKS UUID: the identity of the disk." }),
    header: field(z.string(), { doc: "Path of the client's copy of the header." }),
    offset: field(z.int(), { doc: "Start of the encrypted data on the device, bytes." }),
    keyReading: field(z.enum(keyReadings).optional(), {
      doc: "How much of the key file is the key: both readings are tried, this one opens the disk. `first line`: up to its first line break.",
    }),
    keyBytes: field(z.int().optional(), {
      doc: "Length of the key where it is the first line only, bytes. Fewer than 16 can be guessed by whoever has the header, and each run warns of it.",
    }),
    slots: field(z.array(z.int()), { doc: "Key slots in use, as `cryptsetup luksDump` has them." }),
    changeFrom: field(z.int().optional(), {
      doc: "Of a change of the key that was begun: the old key's slot.",
    }),
    changeTo: field(z.int().optional(), { doc: "… and the new key's." }),
    newKeyOpens: field(z.boolean().optional(), { doc: "… and whether the new key is there and opens it." }),
  },
});

export const recovery = define({
  token: "netdisk:index:Recovery",
  kind: "recovery",
  doc: "Key and LUKS header, sealed on the client with the stack's recovery passphrase by `gpg --symmetric`: all that is needed to read the disk from another machine. State keeps the last blob when the client has lost it, has something else in its place or is gone, and a client that lost key or header, or is new, gets both from it. The client's file stays when the resource is removed.",
  shared: false,
  inputs: {
    name: nameField,
    keyFile,
    keyPassphrase,
    keyReading,
    header: field(absolutePath, { doc: "The client's copy of the header.", role: "fixed", cure: "Keep it." }),
    luksUuid: field(z.string(), { doc: "LUKS UUID that the blob is for.", role: "fixed", cure: "Keep it." }),
    keySlot: field(z.int().optional(), {
      doc: "Key slot of the disk's key. Another one means another key: the blob is sealed anew.",
      role: "unobserved",
    }),
    passphrase: field(passphrase, {
      doc: "Recovery passphrase. Whoever has it and this stack's state can read the disk.",
      role: "unobserved",
      secret: true,
    }),
  },
  conditions: {
    kept: {
      value: true,
      doc: "The client has the blob in a file, too. While key or header are missing, a file that does not open or is another disk's counts as none: it is set aside, and the blob of the state takes its place.",
    },
    inPlace: {
      value: true,
      doc: "Key and header are on the client. Where one is missing, both are put back from the blob; a file that differs is set aside, never removed.",
    },
    current: {
      value: true,
      doc: "The blob is sealed from the key and header as they are now, and opens with the passphrase.",
    },
  },
  outputs: {
    sealed: field(z.string(), {
      doc: "The blob: ASCII-armored OpenPGP message, holding a tar of `key` and `header`.",
      secret: true,
    }),
  },
});

export const mapping = define({
  token: "netdisk:index:Mapping",
  kind: "mapping",
  doc: "netdisk-open@NAME.service: the article's `cryptsetup open`, with the client's own header; /dev/mapper/NAME.",
  shared: false,
  inputs: {
    name: nameField,
    device: field(absolutePath, { doc: "The attached device.", role: "fixed", cure: "Keep it." }),
    keyFile,
    keyPassphrase,
    keyReading,
    unlock,
    header: field(absolutePath, { doc: "The client's copy of the header.", role: "fixed", cure: "Keep it." }),
    luksUuid: field(z.string(), {
      doc: "LUKS UUID; a different container behind the same name is refused.",
      role: "fixed",
      cure: "Keep it.",
    }),
    cipher: field(z.string(), { doc: "What device-mapper must report.", role: "fixed", cure: cipherCure }),
  },
  conditions: {
    installed: { value: true, doc: "The unit file has exactly our text and is not masked." },
    active: {
      value: true,
      doc: "The service runs and the mapping exists, over this device, with this UUID and cipher.",
    },
    whole: { value: true, doc: "The mapping reaches to the end of the device." },
    resumed: {
      value: true,
      doc: "The mapping answers: nobody has suspended it (`cryptsetup luksSuspend`, `dmsetup suspend`).",
    },
    workqueuesBypassed: {
      value: true,
      doc: "Requests pass through the mapping at once (`--perf-no_read_workqueue --perf-no_write_workqueue`). Else dm-crypt has a queue of its own, in which a read or an fsync stands behind all that a bulk write has put there.",
    },
    discardsWithheld: {
      value: true,
      doc: "The mapping passes no discards on (`--allow-discards`), which would show the server which blocks are free.",
    },
  },
  outputs: {
    unit: field(z.string(), { doc: "The systemd unit." }),
    mapped: field(z.string(), { doc: "/dev/mapper/NAME." }),
    locked,
  },
});

export const filesystem = define({
  token: "netdisk:index:Filesystem",
  kind: "filesystem",
  doc: "The file system; the article's `mkfs.xfs -m crc=1,finobt=1`, made only where nothing was ever written through the mapping. Stays when the resource is removed.",
  shared: false,
  inputs: {
    name: nameField,
    device: field(absolutePath, { doc: "The mapping.", role: "fixed", cure: "Keep it." }),
    rawDevice: field(absolutePath, {
      doc: "The attached device below it, read to prove that nothing was written.",
      role: "fixed",
      cure: "Keep it.",
    }),
    rawOffset: field(z.int(), {
      doc: "Start of the encrypted data on the raw device, bytes.",
      role: "fixed",
      cure: "Keep it.",
    }),
    rawSize: field(size.optional(), {
      doc: "Size of the attached device. Where the file system, mounted or not, ends before it (by more than 16 MiB, its smallest allocation group), it is grown.",
      canonical: canonicalSize,
    }),
    type: field(z.enum(["xfs"]).default("xfs"), {
      doc: "Type of the file system.",
      role: "fixed",
      cure: cipherCure,
    }),
    crc: field(z.boolean().default(true), {
      doc: "`-m crc`: metadata checksums.",
      role: "fixed",
      cure: cipherCure,
    }),
    finobt: field(z.boolean().default(true), {
      doc: "`-m finobt`: free inode B-tree.",
      role: "fixed",
      cure: cipherCure,
    }),
  },
  conditions: {
    complete: { value: true, doc: "No note of an interrupted mkfs is left." },
  },
  outputs: {
    uuid: field(z.string(), { doc: "UUID of the file system." }),
  },
});

export const mount = define({
  token: "netdisk:index:Mount",
  kind: "mount",
  doc: "netdisk-mount@NAME.service: the article's `mount -t xfs`.",
  shared: false,
  inputs: {
    name: nameField,
    transport: transportField,
    device: field(absolutePath, { doc: "The mapping.", role: "fixed", cure: "Keep it." }),
    path: field(mountPoint, { doc: "Mount point, made if missing.", example: "/mnt/disk" }),
    type: field(z.enum(["xfs"]).default("xfs"), {
      doc: "Type of the file system.",
      role: "fixed",
      cure: cipherCure,
    }),
    options: field(z.array(mountOption).default(["noatime"]), {
      doc: "Mount options, mount(8). Not `discard`: the mapping passes no discards on, which would show the server which blocks are free.",
    }),
    unlock,
    filesystemUuid: field(z.string(), {
      doc: "UUID of the file system; another one is not mounted.",
      role: "fixed",
      cure: "Keep it.",
    }),
  },
  conditions: {
    installed: { value: true, doc: "The unit file has exactly our text and is not masked." },
    active: { value: true, doc: "The service runs; mounted at the path, from the mapping." },
  },
  outputs: {
    unit: field(z.string(), { doc: "The systemd unit." }),
    locked,
  },
});

export const diskTarget = define({
  token: "netdisk:index:DiskTarget",
  kind: "disk-target",
  doc: 'netdisk@NAME.target: the whole chain under one name, started at boot. `systemctl stop` is the article\'s "Deactivate".',
  shared: false,
  inputs: { name: nameField, transport: transportField, unlock },
  conditions: {
    installed: { value: true, doc: "The unit file has exactly our text." },
    enabled: { value: true, doc: "Started at boot." },
    active: { value: true, doc: "Started, with the whole chain." },
  },
  outputs: {
    unit: field(z.string(), { doc: "netdisk@NAME.target." }),
    locked,
  },
});
