import * as pulumi from "@pulumi/pulumi";
import type { Args } from "../schema/define";
import { defaultTransport, type Transport } from "../schema/fields";
import type { definitions } from "../schema/index";
import { luksDefaults } from "../schema/luksChoices";
import { backingFile } from "../schema/paths";
import type { Client } from "./client";
import { diskCommands, type CommandArgs } from "./commands";
import { forwardLink, sessionLink } from "./link";
import { refuseDiskMistakes } from "./mistakes";
import { recoverySheet } from "./recoverySheet";
import type { InputsOf } from "./resource";
import * as parts from "./resources";
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

/** Where version or cipher are outputs of other resources, so are the defaults that depend on them. */
function withLuksDefaults(luks: LuksArgs = {}): LuksArgs {
  if (luks.type === undefined && luks.cipher === undefined) return luks;
  const defaults = pulumi
    .all([luks.type, luks.cipher])
    .apply(([type, cipher]) => luksDefaults({ type, cipher }));
  const { keySize, pbkdf, sectorSize } = defaults;
  return { keySize, pbkdf, sectorSize, ...luks };
}

/** One disk end to end: file on the server → session, or export and tunnel → attached device → LUKS → file system → mount. */
export class EncryptedDisk extends pulumi.ComponentResource {
  /** Where the client has the disk mounted. */
  readonly mountPath: pulumi.Output<string>;
  /** LUKS UUID: the identity of the disk. */
  readonly luksUuid: pulumi.Output<string>;
  /** `netdisk@NAME.target` on the client: start and stop it to attach and detach the disk. */
  readonly unit: pulumi.Output<string>;
  /** `/dev/netdisk/NAME` on the client: the attached device, which holds ciphertext. */
  readonly device: pulumi.Output<string>;
  /** Key and header as an ASCII-armored OpenPGP message; undefined with `recovery: "none"`. Secret. */
  readonly recovery: pulumi.Output<string> | undefined;
  /**
   * The same as a text to keep offline, with the commands that read the disk on any Linux, without netdisk and Pulumi.
   * Secret.
   */
  readonly recoverySheet: pulumi.Output<string> | undefined;

  constructor(resourceName: string, args: EncryptedDiskArgs, opts?: pulumi.ComponentResourceOptions) {
    refuseDiskMistakes(resourceName, args);
    super("netdisk:index:EncryptedDisk", resourceName, {}, opts);
    const { server, client } = args;
    const name = args.name ?? resourceName;

    // A child's Pulumi resource name is its identity: always the component's, so that an alias of the component
    // covers its children. The type tells them apart. dependsOn holds only what no output expresses.
    const onServer = (...dependsOn: pulumi.Resource[]): pulumi.CustomResourceOptions => ({
      parent: this,
      provider: server.provider,
      dependsOn,
      ...(server.deletedWith && { deletedWith: server.deletedWith }),
    });
    const onClient = (...dependsOn: pulumi.Resource[]): pulumi.CustomResourceOptions => ({
      parent: this,
      provider: client.provider,
      dependsOn,
    });

    const adopt = args.adopt === undefined ? {} : { adopt: args.adopt };
    const backing = backingOf(resourceName, name, args, onServer);
    // For whatever opens the disk, or takes it down and brings it up again.
    const keyPassphrase = args.key?.passphrase === undefined ? {} : { keyPassphrase: args.key.passphrase };
    const transport = args.transport ?? defaultTransport;
    const makeLink = transport === "session" ? sessionLink : forwardLink;
    const link = makeLink({
      resourceName,
      name,
      server,
      client,
      exportName: backing.path,
      export: args.export ?? {},
      ...(args.retain !== undefined && { retain: args.retain }),
      keyPassphrase,
      onServer,
      onClient,
    });
    const attachment = new parts.Attachment(
      resourceName,
      {
        name,
        transport,
        client: client.build.client,
        size: backing.size,
        ...(args.blockSize !== undefined && { blockSize: args.blockSize }),
        ...(args.readAhead !== undefined && { readAhead: args.readAhead }),
        ...keyPassphrase,
        ...(link.revision && { revision: link.revision }),
      },
      onClient(...link.dependsOn, client.kernelModule, client.probeGuard),
    );

    // A sealed one is made by gpg, which comes with the packages.
    const sealedBy = args.key?.gpg === undefined ? [] : [client.packages];
    const { slot, ...keyArgs } = args.key ?? {};
    const luksKey = new parts.LuksKey(resourceName, { name, ...keyArgs, ...adopt }, onClient(...sealedBy));
    const key = { name, keyFile: luksKey.path, ...keyPassphrase };
    // Between what it destroys the use of and what it needs to reach the device: removed after the one, before the other.
    const order =
      args.erase === undefined
        ? []
        : [
            new parts.Erase(
              resourceName,
              { name, device: attachment.device, keyFile: luksKey.path, luksUuid: args.erase },
              onClient(),
            ),
          ];
    // A disk that waits for its passphrase is in order; a preview that called it a difference would say so after each
    // boot of the client. A run is the moment at which the passphrase is at hand, and opens it.
    const unlock = args.key?.gpg === undefined ? {} : { unlock: !pulumi.runtime.isDryRun() };
    const luks = new parts.Luks(
      resourceName,
      {
        ...key,
        ...adopt,
        device: attachment.device,
        ...withLuksDefaults(args.luks),
        ...(slot !== undefined && { keySlot: slot }),
      },
      onClient(client.packages, ...order),
    );
    const header = { ...key, keyReading: luks.keyReading, header: luks.header, luksUuid: luks.uuid };
    const recovery =
      args.recovery === "none"
        ? undefined
        : new parts.Recovery(
            resourceName,
            { ...header, keySlot: luks.keySlot, passphrase: args.recovery.passphrase },
            onClient(),
          );
    const mapping = new parts.Mapping(
      resourceName,
      { ...header, ...unlock, device: attachment.device, cipher: luks.cipher },
      // Nobody may write to the disk before its key is safe, and a new client gets the key from there.
      onClient(...(recovery ? [recovery] : [])),
    );
    const filesystem = new parts.Filesystem(
      resourceName,
      {
        name,
        device: mapping.mapped,
        rawDevice: attachment.device,
        rawOffset: luks.offset,
        rawSize: attachment.size,
        ...args.filesystem,
      },
      onClient(),
    );
    const mount = new parts.Mount(
      resourceName,
      {
        name,
        transport,
        device: mapping.mapped,
        type: filesystem.type,
        filesystemUuid: filesystem.uuid,
        ...unlock,
        ...args.mount,
      },
      onClient(),
    );
    const target = new parts.DiskTarget(resourceName, { name, transport, ...unlock }, onClient(mount));
    const { afterUp, beforeDown } = args;
    diskCommands({
      resourceName,
      afterUp,
      beforeDown,
      client,
      server,
      options: { parent: this, dependsOn: target },
    });

    this.mountPath = pulumi.all([mount.path, target.unit]).apply(([path]) => path);
    this.luksUuid = luks.uuid;
    this.unit = target.unit;
    this.device = attachment.device;
    this.recovery = recovery && pulumi.secret(recovery.sealed);
    this.recoverySheet =
      recovery &&
      pulumi.secret(
        pulumi
          .all([
            recovery.luksUuid,
            server.endpoint,
            backing.stored,
            luks.keyReading,
            attachment.blockSize,
            recovery.sealed,
          ])
          .apply(([luksUuid, endpoint, path, keyReading, blockSize, sealed]) =>
            recoverySheet({ name, luksUuid, endpoint, backing: path, keyReading, blockSize, sealed }),
          ),
      );
    this.registerOutputs({
      mountPath: this.mountPath,
      luksUuid: this.luksUuid,
      unit: this.unit,
      device: this.device,
      recovery: this.recovery,
      recoverySheet: this.recoverySheet,
    });
  }
}

/** What the export serves, how large it is, and where its bytes lie (below a loop device: the file). */
function backingOf(
  resourceName: string,
  name: string,
  { server, file, device, erase, adopt }: EncryptedDiskArgs,
  onServer: (...dependsOn: pulumi.Resource[]) => pulumi.CustomResourceOptions,
): Record<"path" | "stored", pulumi.Output<string>> & { size: parts.BackingFile["size"] } {
  const owner = server.config.user;
  if (device) {
    const { path, size } = new parts.BlockDevice(
      resourceName,
      { name, path: device.path, owner, ...(adopt !== undefined && { adopt }) },
      onServer(),
    );
    return { path, size, stored: path };
  }
  if (!file) throw new Error("a disk with neither file nor device: refuseDiskMistakes lets none through");
  const path = file.path ?? backingFile(name);
  // Before the file, so that it is removed after all that uses it.
  const order =
    erase === undefined
      ? []
      : [new parts.EraseFile(resourceName, { name, path, luksUuid: erase }, onServer())];
  const made = new parts.BackingFile(
    resourceName,
    { name, owner, ...file, path, ...(adopt !== undefined && { adopt }) },
    onServer(...order),
  );
  if (!file.loop) return { path: made.path, size: made.size, stored: made.path };
  const over = { name, file: made.path, size: made.size, owner };
  const { device: served, size } = new parts.LoopDevice(resourceName, over, onServer());
  return { path: served, size, stored: made.path };
}
