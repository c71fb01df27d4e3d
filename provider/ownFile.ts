/** Files that a thing has for itself (ResourceType.ownFile): nothing else of its kind is made with one of them. */
import type { Definition, Inputs } from "../schema/define";
import { otherThings } from "./claims";
import { NetdiskError } from "./errors";
import type { FoundClaim } from "./facts/claims";
import type { ResourceType } from "./resource";

/** The refusal of a thing whose file another one has by the host's claims, or undefined. */
export function fileTaken(
  label: string,
  type: ResourceType,
  { name, wishes }: { name: string; wishes: Inputs<Definition> },
  found: FoundClaim[],
): NetdiskError | undefined {
  const file = type.ownFile?.(wishes);
  if (!file) return undefined;
  const { definition } = type;
  // What another stack wished, as its check let it through.
  const wishesOf = ({ inputs }: FoundClaim): Inputs<Definition> => inputs;
  const other = otherThings(found, definition, name).find(
    (claim) => type.ownFile?.(wishesOf(claim)).path === file.path,
  );
  if (!other) return undefined;
  return new NetdiskError(
    "CLAIMED",
    `${label}: ${file.path} is that of ${definition.kind} "${type.name(wishesOf(other))}" of the stack ` +
      `${other.project}/${other.stack} (${other.urn}), and ${definition.kind} "${name}" must have its own. ${file.cure}`,
  );
}
