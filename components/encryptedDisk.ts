import * as pulumi from "@pulumi/pulumi";
import { defaultTransport } from "../schema/fields";
import { luksDefaults } from "../schema/luksChoices";
import { backingOf } from "./backing";
import { diskCommands } from "./commands";
import type { EncryptedDiskArgs, LuksArgs } from "./diskArgs";
import { forwardLink, sessionLink } from "./link";
import { refuseDiskMistakes } from "./mistakes";
import { recoverySheet } from "./recoverySheet";
import * as parts from "./resources";

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
