/** From a type's token to what knows how to do it. */
import { NetdiskError } from "./errors";
import type { ResourceType } from "./resource";

const types: ResourceType[] = [];

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
