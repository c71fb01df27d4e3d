/** What every request of the engine brings, and how it may end. */
import type { Claims } from "./claims";
import { NetdiskError } from "./errors";
import type { Host } from "./host/host";
import type { Progress } from "./progress";
import type { ResourceType } from "./resource";
import type { Properties } from "./wire/values";

export interface Request {
  type: ResourceType;
  urn: string;
  /** Not yet bound to the signal. */
  host: Host;
  claims: Claims;
  /** See Access: to be asked before the host is changed for the first time. */
  suitable: () => Promise<void>;
  signal: AbortSignal;
  progress: Progress;
  /** Whether this run's program wants the thing; not so in a destroy. */
  asked: (kind: string, name: string) => boolean;
}

export interface Present {
  id: string;
  outputs: Properties;
}

/** The engine keeps id and properties, shows the failure, and updates the resource in the next run. */
export class InitFailed extends Error {
  constructor(
    readonly id: string,
    readonly outputs: Properties,
    readonly inputs: Properties | undefined,
    readonly failure: unknown,
  ) {
    super("initialization failed", { cause: failure });
  }
}

/** The name part of `KIND/NAME`. */
export function nameOf(type: ResourceType, id: string): string {
  const { kind } = type.definition;
  if (!id.startsWith(`${kind}/`) || id.length === kind.length + 1) {
    throw new NetdiskError("CONFIG", `"${id}" is no id of a ${type.definition.token}. Write "${kind}/NAME".`);
  }
  return id.slice(kind.length + 1);
}

export interface Wanted {
  name: string;
  inputs: Properties;
  /** State before, for an update. */
  outputs?: Properties;
}
