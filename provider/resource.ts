/**
 * The contract of a resource type. Whatever drives one (lifecycle, read, preview, check, diff) knows only this interface;
 * create, update, read and delete are the same few lines for all types:
 * create and update = observe → plan → run, until the plan is empty; read = observe.
 */
import type { Definition, Inputs, State } from "../schema/define";
import type { Secret } from "../schema/secret";
import type { Host } from "./host/host";
import type { Command } from "./host/sh";

/**
 * What a look at the host found. `warning`: what a person should do something about.
 * - `absent`: proven not there. `remains`: see below.
 * - `present`: there, with the real values. `note`: what a person should hear of it although nothing differs.
 * - `foreign`: something is there that is neither ours nor blank; nothing will be done to it.
 * - `hidden`: cannot be seen because the layer below is *proven* inactive; neither gone nor an error. `inOrder`: that
 *   layer may be so (a locked disk waits for its passphrase), which is no difference; else it is in need of an update.
 *   `passing`: that layer is on its way back by itself, which a run waits for; `hurry` brings it sooner.
 * `remains`: where neither of the first two says what a removal needs to know: something of it lies on the host that only
 * a removal takes away, be it edited or alone: no later run comes for what one has left.
 * Whatever cannot be read throws.
 */
export type Observation<S> =
  | { is: "absent"; warning?: string; remains?: true }
  | { is: "present"; state: S; note?: string; warning?: string; remains?: true }
  | { is: "foreign"; what: string; cure: string }
  | Hidden;

export interface Hidden {
  is: "hidden";
  by: string;
  inOrder?: true;
  passing?: { hurry?: RunStep };
}

export interface RunStep {
  do: "run";
  /** Short, in the article's words where it has them: `apt-get install nbd-server`. Shown as progress. */
  title: string;
  command: Command;
  /** Goes to the command's standard input. */
  stdin?: string | Secret;
  /** Milliseconds; default 120 000. */
  timeoutMs?: number;
  /** Exit status with which the command refuses because the thing is in use; its stderr is the whole message. */
  inUse?: number;
  /** What the command printed is a result that the user is told, not progress. */
  report?: boolean;
  /** A lock on the host besides the resource's own, for what the whole host shares (`apt`, `nbd-server`). */
  lock?: string;
}

export interface WriteStep {
  do: "write";
  title: string;
  path: string;
  content: string;
  mode: number;
  owner?: string;
}

/** @param mode Permission bits; default: for all to read. */
export const writeStep = (path: string, content: string, mode = 0o644): WriteStep => ({
  do: "write",
  title: `write ${path}`,
  path,
  content,
  mode,
});

/** One act on the host, as a value: preview prints it, `up` runs it, tests compare it. */
export type Step = RunStep | WriteStep;

/** What a type can be told about the thing besides the wish: who it is and what was last known of it. */
export interface Known<D> {
  /** The name part of the id `KIND/NAME`. */
  name: string;
  /** State of the last observation, where there was one; to pin identity, never to answer instead of the host. */
  state?: State<D>;
  /** In a removal: whether the program of this run wants that other thing, be its making yet to come or to fail. */
  asked?: (kind: string, name: string) => boolean;
}

export interface ResourceType<D extends Definition = Definition> {
  definition: D;

  /** The name part of the id: what the thing is called on its host. Pure. */
  name(inputs: Inputs<D>): string;

  /** Failures that the fields' own schemas cannot see, one per property path. Pure. */
  check?(inputs: Partial<Inputs<D>>): { property: string; reason: string }[];

  /**
   * What every thing of this kind needs of its host, whatever the wishes. Asked before anything is changed, and by the
   * preview already while the wishes are not known: so before the layers below are made.
   *
   * @throws NetdiskError CONFIG for a host that does not have it.
   */
  suitable?(host: Host): Promise<void>;

  /**
   * Whether the host's value fulfils the wish, for properties and conditions where equality is not the right question.
   * Undefined leaves the decision to the field's `canonical` form. Pure.
   */
  satisfied?(property: string, state: State<D>, inputs: Inputs<D>): boolean | undefined;

  /**
   * Only for shared types: what this stack and another one want differently of the same thing, in words, or
   * undefined. Default: any settable or fixed input that differs. `theirs` holds no secrets. Pure.
   */
  conflicts?(mine: Inputs<D>, theirs: Record<string, unknown>): string | undefined;

  /**
   * A file on the host that no other thing of this kind may have, of whatever name and stack, because it is changed and
   * destroyed with this one. `cure`: the last sentence of the refusal. Pure.
   */
  ownFile?(inputs: Inputs<D>): { path: string; cure: string };

  /**
   * Outputs that are certain before anything is made, such as paths and unit names: with them a first preview
   * knows what other resources will be given. Pure.
   */
  predict?(inputs: Inputs<D>): Partial<State<D>>;

  /** Outputs that a change may make anew, and that a preview of one must therefore not take for known. */
  renewed?: readonly string[];

  /**
   * State holds what is needed most when the host is gone, a recovery blob or the identity of somebody's data:
   * NETDISK_HOST_GONE takes such a resource for one that the next host must be given, not for gone. Deleting it then
   * still succeeds. Default: false.
   */
  keepWhenGone?: boolean;

  /** Looks at the host, changes nothing. */
  observe(host: Host, inputs: Inputs<D>, known: Known<D>): Promise<Observation<State<D>>>;

  /**
   * The next steps towards the wish, all that are already certain; called again after they ran, until it
   * returns none. Gets `absent` or `present` only. Pure.
   */
  plan(observed: Observed<D>, inputs: Inputs<D>, known: Known<D>): Step[];

  /** Like plan, towards "not managed here any more". Never destroys data, but for an order to erase it. Pure. */
  planRemoval(observed: Observed<D>, inputs: Inputs<D>, known: Known<D>): Step[];
}

export type Observed<D> = Extract<Observation<State<D>>, { is: "absent" | "present" }>;

/** Fixes the type parameter so that the object literal is checked against its definition. */
export function resourceType<D extends Definition>(type: ResourceType<D>): ResourceType<D> {
  return type;
}
