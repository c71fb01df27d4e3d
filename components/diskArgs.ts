/** The arguments of an EncryptedDisk, as docs/library.md shows them. */
import type * as pulumi from "@pulumi/pulumi";
import type { Args } from "../schema/define";
import type { Transport } from "../schema/fields";
import type { definitions } from "../schema/index";
import type { Client } from "./client";
import type { CommandArgs } from "./commands";
import type { InputsOf } from "./resource";
import type { Server } from "./server";

type Definitions = typeof definitions;

export interface FileArgs {
  /**
   * Path of the file on the server.
   * @default "/var/lib/netdisk/NAME.img"
   */
  path?: pulumi.Input<string>;
  /**
   * Size of the disk, 320 MiB or more.
   * @example "20 GiB"
   */
  size: InputsOf<Definitions["BackingFile"]>["size"];
  /**
   * `full`: all blocks are reserved now. `sparse`: they are taken as they are written.
   * @default "full"
   */
  allocation?: InputsOf<Definitions["BackingFile"]>["allocation"];
  /**
   * Put a loop device over the file and serve that, as the article does. Cannot change later.
   * @default false
   */
  loop?: boolean;
}

/** How nbd-server serves a disk with `transport: forward`; a session needs neither, and refuses them. */
export interface ExportArgs {
  /**
   * Announce forced unit access, which saves a round trip per fsync.
   * @default true
   */
  fua?: InputsOf<Definitions["Export"]>["fua"];
  /**
   * An fsync after every write. Without it a power loss of the server loses acknowledged writes; with it, or with
   * `fua`, a failing disk of the server is not noticed (docs/reference.md, Export).
   * @default true
   */
  sync?: InputsOf<Definitions["Export"]>["sync"];
}

/** The disk's key. Default: 64 random bytes in a file that only root of the client can read. */
export interface KeyArgs {
  /**
   * Path on the client of a key file that `gpg --symmetric` seals; made if missing. When the client has booted, the disk
   * waits for the passphrase, and everything else comes up without it.
   * @example "/etc/netdisk/photos-key.asc"
   */
  gpg?: pulumi.Input<string>;
  /** Passphrase of the sealed key file. */
  passphrase?: pulumi.Input<string>;
  /**
   * Length of the key, bytes.
   * @default 64
   */
  bytes?: InputsOf<Definitions["LuksKey"]>["bytes"];
  /**
   * Key slot of the key, 0 to 7. Another number than now changes the key in place, while the disk is in use (docs/keys.md).
   * @default the slot that it has
   */
  slot?: InputsOf<Definitions["Luks"]>["keySlot"];
}

export interface DeviceArgs {
  /**
   * Path of the device on the server that stays: below /dev/disk/by-id, by-partuuid or by-path, or in /dev/mapper.
   * @example "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4"
   */
  path: pulumi.Input<string>;
}

/** Parameters of cryptsetup; fixed once the disk is made. */
export interface LuksArgs {
  /**
   * LUKS version; `luks1` is the article's.
   * @default "luks2"
   */
  type?: InputsOf<Definitions["Luks"]>["type"];
  /**
   * `twofish-cbc-essiv:sha256` is the article's: whoever can change the stored bytes can flip chosen bits of the plain text.
   * @default "aes-xts-plain64"
   */
  cipher?: InputsOf<Definitions["Luks"]>["cipher"];
  /**
   * Bits; 256 with `twofish-cbc-essiv:sha256`.
   * @default 512
   */
  keySize?: InputsOf<Definitions["Luks"]>["keySize"];
  /**
   * Hash of the key slot.
   * @default "sha256"
   */
  hash?: InputsOf<Definitions["Luks"]>["hash"];
  /**
   * Key derivation of the key slot; `pbkdf2` with `luks1`.
   * @default "argon2id"
   */
  pbkdf?: InputsOf<Definitions["Luks"]>["pbkdf"];
  /**
   * Milliseconds that each opening of the disk, and each look at it by Pulumi, may spend on the key slot.
   * @default fixed costs of well under a second, because a random key cannot be guessed
   */
  iterTime?: InputsOf<Definitions["Luks"]>["iterTime"];
  /**
   * Bytes; 512 with `luks1`.
   * @default 4096
   */
  sectorSize?: InputsOf<Definitions["Luks"]>["sectorSize"];
}

/** Parameters of mkfs; fixed once the disk is made. */
export interface FilesystemArgs {
  /**
   * Type of the file system.
   * @default "xfs"
   */
  type?: InputsOf<Definitions["Filesystem"]>["type"];
  /**
   * `-m crc`: metadata checksums.
   * @default true
   */
  crc?: InputsOf<Definitions["Filesystem"]>["crc"];
  /**
   * `-m finobt`: free inode B-tree.
   * @default true
   */
  finobt?: InputsOf<Definitions["Filesystem"]>["finobt"];
}

export interface MountArgs {
  /**
   * Where the client mounts the disk; made if missing.
   * @example "/mnt/photos"
   */
  path: pulumi.Input<string>;
  /**
   * Mount options, mount(8).
   * @default ["noatime"]
   */
  options?: InputsOf<Definitions["Mount"]>["options"];
}

export interface EncryptedDiskArgs {
  /** The host that stores the bytes. */
  server: Server;
  /** The host that mounts the disk. */
  client: Client;
  /**
   * Name of the disk on both hosts; can never change, while the Pulumi resource may be renamed freely.
   * @default the resource's name
   */
  name?: Args<Definitions["BackingFile"]>["name"];
  /** The server's file that holds the disk; this or `device`. */
  file?: FileArgs;
  /** A real disk of the server, instead of a file. */
  device?: DeviceArgs;
  /**
   * Seals key and LUKS header for the stack's state, so that another machine can read the disk when the client is
   * lost. `none`: the key exists on the client only.
   */
  recovery: { passphrase: pulumi.Input<string> } | "none";
  export?: ExportArgs;
  key?: KeyArgs;
  /**
   * The way to the server. `session`: netdisk's own, for which an outage of any length is a pause and a server's power
   * loss costs nothing that was acknowledged (docs/session.md); needs nbdkit 1.34 on the client, as Debian 13 has it.
   * `forward`: the article's `ssh -L` to nbd-server's port.
   * @default "session"
   */
  transport?: Transport;
  /**
   * Logical block size of the attached device, bytes; fixed once the disk is made. A disk that was made by hand has 512,
   * where nbd-client was told nothing else.
   * @default 4096
   */
  blockSize?: InputsOf<Definitions["Attachment"]>["blockSize"];
  /**
   * Read-ahead, KiB. The default is twice what ssh has on the way, and so enough for any link (docs/session.md). A change
   * reaches an open disk at once, where its server answers.
   * @default 4096
   */
  readAhead?: InputsOf<Definitions["Attachment"]>["readAhead"];
  /**
   * How much acknowledged, unflushed data the session keeps, in locked memory (docs/session.md). With `session` only.
   * @default "64 MiB"
   */
  retain?: InputsOf<Definitions["Session"]>["retain"];
  luks?: LuksArgs;
  filesystem?: FilesystemArgs;
  mount: MountArgs;
  /**
   * Commands of your own once the disk is mounted: when it is made, when the command is another, or when another machine
   * takes the host's place.
   */
  afterUp?: CommandArgs;
  /** Commands of your own before the disk is taken down for good. */
  beforeDown?: CommandArgs;
  /**
   * The order to destroy this disk when it leaves the stack or the stack is destroyed, given with its LUKS UUID;
   * recorded by `pulumi up`. Without it a disk that leaves the stack is given back unharmed.
   */
  erase?: Args<Definitions["Erase"]>["luksUuid"];
  /**
   * LUKS UUID of a disk that was made by hand: it is taken over with its data, and not a byte of it is written
   * (docs/adopt.md). Once that is done it means nothing.
   */
  adopt?: Args<Definitions["Luks"]>["adopt"];
}
