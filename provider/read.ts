/** Read and import: what the host has, in the engine's terms. */
import { absentMark, conditionsOf, unmarked } from "../schema/ownership";
import { boundHost, orAborted } from "./boundHost";
import { knownWishes } from "./check";
import { claimedError, holders, ownerOf } from "./claims";
import { project } from "./diff";
import { foreign, NetdiskError } from "./errors";
import type { FoundClaim } from "./facts/claims";
import { nonceOf, outputsOf, stateOf } from "./outputs";
import { remark } from "./reach";
import { InitFailed, nameOf, type Present, type Request } from "./request";
import type { Hidden, ResourceType } from "./resource";
import type { Properties } from "./wire/values";

export interface Read extends Present {
  inputs: Properties;
}

/** Undefined: proven not there, and no claim of this resource either. */
export async function read(
  request: Request,
  id: string,
  stored: { inputs: Properties; outputs: Properties },
): Promise<Read | undefined> {
  const given = { ...stored, inputs: unmarked(stored.inputs) };
  const { type, claims, urn } = request;
  const { definition } = type;
  const host = boundHost(request.host, request.signal, 0);
  const name = nameOf(type, id);
  const found = orAborted(claims.all(), request.signal, 0, host.label);
  found.catch(() => undefined);
  const imported = Object.keys(given.inputs).length === 0;
  const inputs = imported
    ? importedInputs(type, name, holders(await found, definition, name, ownerOf(urn)).own)
    : given.inputs;
  const known = { name, state: stateOf(definition, given.outputs) };
  const nonce = nonceOf(given.outputs);
  const [look, { own, renamed, others }] = await Promise.all([
    type.observe(host, knownWishes(type, inputs), known).catch(missingTool),
    found.then((all) => holders(all, definition, name, { ...ownerOf(urn), nonce })),
  ]);
  if (!definition.shared && !own && others[0]) throw claimedError(host.label, definition, name, others[0]);
  const claim = nonce ?? own?.nonce ?? "";
  const ownership = { claim, claimed: own !== undefined && own.nonce === claim && !renamed };
  switch (look.is) {
    case "absent":
      // What the state no longer has is never deleted, and nobody but this resource takes its claim away.
      if (imported || own?.nonce !== claim) return undefined;
      throw new InitFailed(
        id,
        outputsOf(definition, {}, inputs, ownership),
        { ...given.inputs, [absentMark]: true },
        new NetdiskError(
          "UNFINISHED",
          `${host.label}: ${id} is not there, only this stack's claim on it. ` +
            "`pulumi up` makes it, and a destroy takes the claim away.",
        ),
      );
    case "foreign":
      // An import has nothing that could be kept.
      if (imported) throw foreign(host.label, look.what, look.cure);
      // One thing that is refused must not end the run for all others, which is what an error of a read does.
      throw new InitFailed(
        id,
        given.outputs,
        given.inputs,
        foreign(
          host.label,
          look.what,
          `${look.cure} Until then \`pulumi up\` refuses ${id}, and a destroy leaves it alone.`,
        ),
      );
    case "hidden":
      if (look.inOrder && !imported) return { id, outputs: given.outputs, inputs: given.inputs };
      throw new InitFailed(
        id,
        given.outputs,
        given.inputs,
        new NetdiskError(
          "UNFINISHED",
          `${host.label}: ${id} cannot be seen: ${look.by}. \`pulumi up\` brings it back.`,
        ),
      );
    case "present": {
      remark(request, look);
      const outputs = outputsOf(definition, look.state, inputs, ownership);
      const whole = imported
        ? {
            ...inputs,
            ...pick(outputs, [...Object.keys(definition.inputs), ...Object.keys(conditionsOf(definition))]),
          }
        : inputs;
      return present(type, { id, inputs: whole }, outputs);
    }
  }
}

/** What was read, with the inputs brought to it: a difference shows up in what the engine keeps as inputs. */
export function present(
  type: ResourceType,
  { id, inputs }: { id: string; inputs: Properties },
  outputs: Properties,
): Read {
  return { id, outputs, inputs: project(type, inputs, outputs) };
}

/**
 * Without the program that shows it, a thing is hidden: `up` installs the packages before it comes to it. As an error it
 * would end the run before that.
 */
function missingTool(error: unknown): Hidden {
  if (error instanceof NetdiskError && error.code === "NO_TOOL") return { is: "hidden", by: error.message };
  throw error;
}

const pick = (properties: Properties, keys: string[]): Properties =>
  Object.fromEntries(keys.filter((key) => key in properties).map((key) => [key, properties[key]]));

/** An import brings the id only; what is missing comes from this stack's claim and from defaults. */
function importedInputs(type: ResourceType, name: string, own: FoundClaim | undefined): Properties {
  const fields = type.definition.inputs;
  const inputs: Properties = { ...("name" in fields ? { name } : {}), ...own?.inputs };
  const missing = Object.entries(fields).filter(
    ([key, field]) =>
      !(key in inputs) && field.role !== "unobserved" && !field.schema.safeParse(undefined).success,
  );
  if (missing.length > 0) {
    throw new NetdiskError(
      "CONFIG",
      `${type.definition.token} "${name}" cannot be imported by its id alone: ` +
        `${missing.map(([key]) => key).join(", ")} cannot be guessed. ` +
        "Leave the import out: a create takes over what is there when it is as wished.",
    );
  }
  return inputs;
}
