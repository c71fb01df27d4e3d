/** From a type's token to what knows how to do it. */
import { NetdiskError } from "./errors";
import type { ResourceType } from "./resource";
import { attachment } from "./resources/attachment";
import { authFile } from "./resources/authFile";
import { authorizedKey } from "./resources/authorizedKey";
import { backingFile } from "./resources/backingFile";
import { blockDevice } from "./resources/blockDevice";
import { diskTarget } from "./resources/diskTarget";
import { erase } from "./resources/erase";
import { eraseFile } from "./resources/eraseFile";
import { diskExport } from "./resources/export";
import { filesystem } from "./resources/filesystem";
import { hostKey } from "./resources/hostKey";
import { kernelModule } from "./resources/kernelModule";
import { knownHost } from "./resources/knownHost";
import { loopDevice } from "./resources/loopDevice";
import { luks } from "./resources/luks";
import { luksKey } from "./resources/luksKey";
import { mapping } from "./resources/mapping";
import { mount } from "./resources/mount";
import { packages } from "./resources/packages";
import { probeGuard } from "./resources/probeGuard";
import { recovery } from "./resources/recovery";
import { serverConfig } from "./resources/serverConfig";
import { serve } from "./resources/serve";
import { service } from "./resources/service";
import { session } from "./resources/session";
import { sessionPlugin } from "./resources/sessionPlugin";
import { sourceBuild } from "./resources/sourceBuild";
import { tunnel } from "./resources/tunnel";
import { tunnelKey } from "./resources/tunnelKey";

const types: ResourceType[] = [
  attachment,
  authFile,
  authorizedKey,
  backingFile,
  blockDevice,
  diskExport,
  diskTarget,
  erase,
  eraseFile,
  filesystem,
  hostKey,
  kernelModule,
  knownHost,
  loopDevice,
  luks,
  luksKey,
  mapping,
  mount,
  packages,
  probeGuard,
  recovery,
  serverConfig,
  serve,
  service,
  session,
  sessionPlugin,
  sourceBuild,
  tunnel,
  tunnelKey,
];

export type Registry = ReadonlyMap<string, ResourceType>;

export const registryOf = (list: readonly ResourceType[]): Registry =>
  new Map(list.map((type) => [type.definition.token, type]));

export const registry: Registry = registryOf(types);

export function typeOf(known: Registry, token: string): ResourceType {
  const type = known.get(token);
  if (!type) {
    throw new NetdiskError(
      "CONFIG",
      `"${token}" is no resource type of this version of netdisk. Update the provider, or correct the type.`,
    );
  }
  return type;
}
