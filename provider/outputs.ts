/** From an observation to the properties that the engine keeps as state, and back. */
import type { Definition, State } from "../schema/define";
import { conditionsOf, ownershipOutputs } from "../schema/ownership";
import { Secret } from "../schema/secret";
import { plain, type Properties } from "./wire/values";

/** What the engine keeps besides what was observed. */
export interface Ownership {
  /** Nonce of the claim. */
  claim: string;
  /** Whether the host's claim has that nonce. */
  claimed: boolean;
}

/** Secrets of the definition, and what came in as a secret, go out as one. */
export function outputsOf(
  definition: Definition,
  state: Properties,
  inputs: Properties,
  ownership: Ownership,
): Properties {
  const outputs: Properties = {};
  for (const [key, value] of Object.entries({ ...state, ...ownership })) {
    const field = definition.outputs[key] ?? definition.inputs[key];
    const bare = plain(value).value;
    if (bare === undefined) continue;
    const secret = field?.secret === true || plain(inputs[key]).secret;
    outputs[key] = secret ? new Secret(bare) : bare;
  }
  return outputs;
}

/** The last observation as a resource's code sees it. */
export function stateOf(definition: Definition, outputs: Properties): State<Definition> | undefined {
  const state: Properties = {};
  for (const [key, value] of Object.entries(outputs)) {
    if (key in ownershipOutputs || (key in conditionsOf(definition) && !(key in definition.conditions)))
      continue;
    const { value: bare, unknown } = plain(value);
    if (unknown || bare === undefined || bare === null) continue;
    state[key] = definition.outputs[key]?.secret ? new Secret(bare) : bare;
  }
  return Object.keys(state).length > 0 ? (state as State<Definition>) : undefined;
}

export function nonceOf(outputs: Properties): string | undefined {
  const claim = plain(outputs.claim).value;
  return typeof claim === "string" && claim !== "" ? claim : undefined;
}
