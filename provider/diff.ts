/**
 * What differs between the wishes and what the host was last seen to have, per property. Pure. Never asks
 * for a replacement: that would delete first, and data with it.
 *
 * A refresh calls it the other way round, with what was just read as the old side and the inputs in state as
 * the new one; nothing here may depend on which is which.
 */
import { type Field, isObserved } from "../schema/define";
import { conditionsOf } from "../schema/ownership";
import { knownWishes, same, unknownFields } from "./check";
import type { ResourceType } from "./resource";
import { equal, plain, type Properties } from "./wire/values";

export interface Change {
  kind: "add" | "update" | "delete";
  /** The old side is the old input, not the state: for what cannot be read on the host. */
  fromInput: boolean;
}

export interface Sides {
  oldInputs: Properties;
  /** The last observation. */
  state: Properties;
  news: Properties;
}

function kindOf(before: unknown, after: unknown): Change["kind"] {
  if (before === undefined || before === null) return "add";
  return after === undefined || after === null ? "delete" : "update";
}

/** What the type itself says. `satisfied` may look at other wishes, so it is asked only when all are known. */
function decided(
  type: ResourceType,
  key: string,
  state: Properties,
  wishes: Properties,
): boolean | undefined {
  if (!type.satisfied || unknownFields(type, wishes).length > 0) return undefined;
  const plainState = Object.fromEntries(Object.entries(state).map(([name, it]) => [name, plain(it).value]));
  return type.satisfied(key, plainState as never, knownWishes(type, wishes));
}

/** Whether the host's value is what the wish asks for. */
export function fulfilled(
  type: ResourceType,
  key: string,
  field: Field,
  state: Properties,
  wishes: Properties,
): boolean {
  const wish = plain(wishes[key]).value;
  const own = decided(type, key, state, wishes);
  if (own !== undefined) return own;
  // An optional wish that nobody has: any value is in order.
  if (wish === undefined || wish === null) return true;
  return same(field, plain(state[key]).value, wish);
}

export function diff(type: ResourceType, { oldInputs, state, news }: Sides): Record<string, Change> {
  const changes: Record<string, Change> = {};
  for (const [key, field] of Object.entries(type.definition.inputs)) {
    if (field.role === "order") continue;
    const wish = plain(news[key]);
    const before = plain(oldInputs[key]).value;
    const seen = plain(state[key]).value;
    const fromInput = field.role === "unobserved";
    const old = fromInput ? before : seen;
    if (wish.unknown) changes[key] = { kind: kindOf(old, "unknown"), fromInput };
    else if (fromInput ? !same(field, old, wish.value) : !fulfilled(type, key, field, state, news)) {
      changes[key] = { kind: kindOf(old, wish.value), fromInput };
    }
  }
  for (const [key, condition] of Object.entries(conditionsOf(type.definition))) {
    const wish = plain(news[key]).value ?? condition.value;
    const seen = plain(state[key]).value;
    if (!equal(seen, wish) && !decided(type, key, state, news))
      changes[key] = { kind: kindOf(seen, wish), fromInput: false };
  }
  return changes;
}

/**
 * The inputs as the host has them, on the keys that are in `inputs`: a difference shows up in what the engine
 * keeps as inputs, the user's spelling stays where it means the same.
 */
export function project(type: ResourceType, inputs: Properties, state: Properties): Properties {
  const conditions = conditionsOf(type.definition);
  return Object.fromEntries(
    Object.entries(inputs).map(([key, given]) => {
      const field = type.definition.inputs[key];
      const seen = state[key];
      if (seen === undefined) return [key, given];
      if (key in conditions) return [key, decided(type, key, state, inputs) ? given : seen];
      if (!field || !isObserved(field) || fulfilled(type, key, field, state, inputs)) {
        return [key, given];
      }
      return [key, seen];
    }),
  );
}
