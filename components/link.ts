/** The way from a disk's client to its server, by either transport: what lies between the backing and the attachment. */
import * as pulumi from "@pulumi/pulumi";
import type { Client } from "./client";
import type { EncryptedDiskArgs, ExportArgs } from "./diskArgs";
import * as parts from "./resources";
import type { JumpArgs, Server } from "./server";

export interface LinkArgs {
  /** Pulumi's name of all children. */
  resourceName: string;
  /** The disk's name. */
  name: string;
  server: Server;
  client: Client;
  /** What the server exports. */
  exportName: pulumi.Input<string>;
  /** What the user wishes of the export. */
  export: ExportArgs;
  /** How much a session keeps. */
  retain?: EncryptedDiskArgs["retain"];
  /** For whatever takes the disk down and brings it up again. */
  keyPassphrase: { keyPassphrase?: pulumi.Input<string> };
  onServer: (...dependsOn: pulumi.Resource[]) => pulumi.CustomResourceOptions;
  onClient: (...dependsOn: pulumi.Resource[]) => pulumi.CustomResourceOptions;
}

export interface Link {
  /** The attachment must wait for these. */
  dependsOn: pulumi.Resource[];
  /** Of the export, where a connection keeps the settings that it began with. */
  revision?: pulumi.Output<string>;
}

/** The jump host's key, pinned beside the server's. */
const jumpKeys = (jump: JumpArgs | undefined) =>
  jump && {
    jumps: pulumi.all([jump.endpoint, jump.hostKey]).apply(([endpoint, key]) => ({ [endpoint]: key })),
  };

const wayThrough = ({ endpoint, user, identityFile }: JumpArgs) =>
  pulumi.output({ endpoint, user, identityFile });

/** Both begin with a key of the client's own and the server's key, pinned. */
function keys({ resourceName, name, server, client, onClient }: LinkArgs): {
  tunnelKey: parts.TunnelKey;
  knownHost: parts.KnownHost;
} {
  return {
    tunnelKey: new parts.TunnelKey(resourceName, { name }, onClient(client.packages)),
    knownHost: new parts.KnownHost(
      resourceName,
      { name, endpoint: server.endpoint, publicKey: server.hostKey.publicKey, ...jumpKeys(server.jump) },
      onClient(),
    ),
  };
}

/** The article's: nbd-server's port on the server's loopback, `ssh -L` to it. */
export function forwardLink(args: LinkArgs): Link {
  const { resourceName, name, server, exportName, keyPassphrase, onServer, onClient } = args;
  const nbdExport = new parts.Export(
    resourceName,
    { name, exportName, authFile: server.authFile.path, ...args.export },
    onServer(server.service),
  );
  const { tunnelKey, knownHost } = keys(args);
  const authorizedKey = new parts.AuthorizedKey(
    resourceName,
    { name, publicKey: tunnelKey.publicKey },
    onServer(),
  );
  const tunnel = new parts.Tunnel(
    resourceName,
    {
      name,
      endpoint: knownHost.endpoint,
      user: authorizedKey.user,
      remote: authorizedKey.permitOpen,
      ...(server.jump && { jump: wayThrough(server.jump) }),
      ...keyPassphrase,
    },
    onClient(),
  );
  return { dependsOn: [tunnel, nbdExport], revision: nbdExport.revision };
}

/** netdisk's own: a forced command that serves this disk alone, and a plugin that waits out what happens to it. */
export function sessionLink(args: LinkArgs): Link {
  const { resourceName, name, server, client, exportName, retain, onServer, onClient } = args;
  const { tunnelKey, knownHost } = keys(args);
  const serve = new parts.Serve(
    resourceName,
    { name, publicKey: tunnelKey.publicKey, exportName, user: server.config.user },
    onServer(server.packages),
  );
  const session = new parts.Session(
    resourceName,
    {
      name,
      endpoint: knownHost.endpoint,
      user: serve.account,
      ...(retain !== undefined && { retain }),
      build: client.sessionPlugin().source,
      ...(server.jump && { jump: wayThrough(server.jump) }),
    },
    onClient(client.build),
  );
  return { dependsOn: [session] };
}
