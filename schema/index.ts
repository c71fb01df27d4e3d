/** All resource types by their place on the way of a write; the table that everything generated comes from. */
import * as backing from "./backing";
import * as client from "./client";
import * as crypt from "./crypt";
import * as erase from "./erase";
import type { Definition } from "./define";
import * as server from "./server";
import * as session from "./session";

export const definitions = {
  Packages: server.packages,
  BackingFile: server.backingFile,
  LoopDevice: backing.loopDevice,
  BlockDevice: backing.blockDevice,
  ServerConfig: server.serverConfig,
  AuthFile: server.authFile,
  Service: server.service,
  Export: server.diskExport,
  HostKey: server.hostKey,
  AuthorizedKey: server.authorizedKey,
  Serve: session.serve,
  SourceBuild: client.sourceBuild,
  KernelModule: client.kernelModule,
  ProbeGuard: client.probeGuard,
  TunnelKey: client.tunnelKey,
  KnownHost: client.knownHost,
  Tunnel: client.tunnel,
  SessionPlugin: session.sessionPlugin,
  Session: session.session,
  Attachment: client.attachment,
  LuksKey: crypt.luksKey,
  Luks: crypt.luks,
  Recovery: crypt.recovery,
  Mapping: crypt.mapping,
  Filesystem: crypt.filesystem,
  Mount: crypt.mount,
  DiskTarget: crypt.diskTarget,
  Erase: erase.erase,
  EraseFile: erase.eraseFile,
} as const satisfies Record<string, Definition>;

export type Definitions = typeof definitions;
