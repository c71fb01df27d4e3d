/** What every resource has besides its own definition: the claim of its stack on the host (provider/claims.ts). */
import * as z from "zod";
import { type Condition, type Definition, field } from "./define";

const conditions = {
  claimed: {
    value: true,
    doc: "The host holds the note that says that this resource of this stack owns it.",
  },
} as const satisfies Record<string, Condition>;

export const ownershipOutputs = {
  claim: field(z.string(), {
    doc: "Nonce of the claim. A resource whose nonce is no longer the one on the host does not own the thing any more.",
  }),
};

/** No property, but a mark among the inputs that the engine keeps: the last read found nothing but the claim. */
export const absentMark = "absent";

export const unmarked = <V>(inputs: Record<string, V>): Record<string, V> =>
  Object.fromEntries(Object.entries(inputs).filter(([key]) => key !== absentMark));

/** All conditions of a type, its own and those of ownership. */
export const conditionsOf = (definition: Definition): Record<string, Condition> => ({
  ...definition.conditions,
  ...conditions,
});
