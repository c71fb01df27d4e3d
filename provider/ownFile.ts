/** Files that a thing has for itself (ResourceType.ownFile): nothing else of its kind is made with one of them. */
import type { Definition, Inputs } from "../schema/define";
import { claimsDir } from "../schema/paths";
import { otherThings } from "./claims";
import { NetdiskError } from "./errors";
import { ask } from "./fact";
import type { FoundClaim } from "./facts/claims";
import { sameFile } from "./facts/sameFile";
import type { Host } from "./host/host";
import type { ResourceType } from "./resource";

/** The refusal of a thing whose file another one has by the host's claims, under whatever path, or undefined. */
export async function fileTaken(
  host: Host,
  type: ResourceType,
  { name, wishes }: { name: string; wishes: Inputs<Definition> },
  found: FoundClaim[],
): Promise<NetdiskError | undefined> {
  const file = type.ownFile?.(wishes);
  if (!file) return undefined;
  const { definition } = type;
  // What another stack wished, as its check let it through.
  const wishesOf = ({ inputs }: FoundClaim): Inputs<Definition> => inputs;
  const others = otherThings(found, definition, name);
  const pathOf = (claim: FoundClaim): string | undefined => type.ownFile?.(wishesOf(claim)).path;
  const paths = others.map(pathOf).filter((path) => path !== undefined && path !== file.path) as string[];
  const taken = [file.path, ...(paths.length === 0 ? [] : await ask(host, sameFile, file.path, paths))];
  const other = others.find((claim) => taken.includes(pathOf(claim) ?? ""));
  if (!other) return undefined;
  const also = pathOf(other) === file.path ? "" : `, which has it as ${pathOf(other)}`;
  return new NetdiskError(
    "CLAIMED",
    `${host.label}: ${file.path} is that of ${definition.kind} "${type.name(wishesOf(other))}" of the stack ` +
      `${other.project}/${other.stack} (${other.urn})${also}, and ${definition.kind} "${name}" must have its own. ${file.cure} ` +
      `If that stack no longer exists, remove ${claimsDir}/${other.file} on the host.`,
  );
}
