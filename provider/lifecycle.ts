/**
 * Create, update and delete, the same for all types: observe → plan → run, until the plan is
 * empty. Knows neither the wire nor any particular resource.
 */
import { randomUUID } from "node:crypto";
import type { Definition, Inputs } from "../schema/define";
import { boundHost, orAborted, timeLimit } from "./boundHost";
import { knownWishes, same } from "./check";
import { claimedError, holders, isShared, ownerOf } from "./claims";
import { NetdiskError } from "./errors";
import type { Claim, FoundClaim } from "./facts/claims";
import type { Host } from "./host/host";
import { fileTaken } from "./ownFile";
import { nonceOf, outputsOf, stateOf } from "./outputs";
import { idOf, reach, StillUsed, type Work } from "./reach";
import { InitFailed, nameOf, type Present, type Request, type Wanted } from "./request";
import type { ResourceType } from "./resource";
import { plain, type Properties } from "./wire/values";

/** Wishes for others to see: no secrets. */
function publicInputs(type: ResourceType, inputs: Properties): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs)
      .filter(([key, value]) => type.definition.inputs[key]?.secret === false && !plain(value).secret)
      .map(([key, value]) => [key, plain(value).value]),
  );
}

/** What two stacks want differently of a shared thing. */
function conflict(type: ResourceType, mine: Inputs<Definition>, theirs: Claim["inputs"]): string | undefined {
  if (type.conflicts) return type.conflicts(mine, theirs);
  const wish = mine as Properties;
  const key = Object.entries(type.definition.inputs).find(
    ([name, field]) =>
      name in theirs && name in wish && !field.secret && !same(field, wish[name], theirs[name]),
  )?.[0];
  return key && `${key} is ${JSON.stringify(wish[key])} here and ${JSON.stringify(theirs[key])} there`;
}

/** Takes the claim, or throws CLAIMED with the host as it was. Returns this stack's claim from before. */
async function takeClaim(
  request: Request,
  { name, wishes, isNew }: { name: string; wishes: Inputs<Definition>; isNew: boolean },
  claim: Claim,
): Promise<FoundClaim | undefined> {
  const { type, host, claims, signal, progress } = request;
  const { definition } = type;
  const { own, others } = await progress.during("wait for earlier work on it to end", () =>
    claims.take(definition, name, claim, signal),
  );
  if (!definition.shared && others[0]) throw claimedError(host.label, definition, name, others[0]);
  // Looked for after the claim was written: of two that come at once, one at least sees the other.
  const refusal =
    sharedOtherwise(request, name, wishes, others) ??
    (isNew && type.ownFile
      ? await fileTaken(host, type, { name, wishes }, await claims.current())
      : undefined);
  if (!refusal) return own;
  await claims.restore(definition, name, claim, own);
  throw refusal;
}

/** The refusal of a shared thing that another stack wants differently, or undefined. */
function sharedOtherwise(
  { type, host }: Request,
  name: string,
  wishes: Inputs<Definition>,
  others: FoundClaim[],
): NetdiskError | undefined {
  for (const other of others) {
    const found = conflict(type, wishes, other.inputs);
    if (!found) continue;
    return new NetdiskError(
      "CLAIMED",
      `${host.label}: ${type.definition.kind} "${name}" is shared with the stack ${other.project}/${other.stack} ` +
        `(${other.urn}), which wants something else: ${found}. Give both stacks the same value.`,
    );
  }
  return undefined;
}

/** What is there after a failure; what was last known when not even that can be read. */
async function lastLook(request: Request, unbound: Host, work: Work): Promise<Properties> {
  const limit = timeLimit(request.signal.aborted ? 5000 : 30_000);
  try {
    const host = boundHost(unbound, limit.signal, 0);
    const look = await work.type.observe(host, work.wishes, work.known);
    if (look.is === "present") return look.state;
    if (look.is === "absent") return {};
  } catch {
    // The failure that led here is the one to report.
  } finally {
    limit.clear();
  }
  return work.known.state ?? {};
}

/** Create and update. `request.host` is not yet bound to the request's signal. */
export async function apply(request: Request, { name, inputs, outputs }: Wanted): Promise<Present> {
  const { type, signal, claims, progress } = request;
  await orAborted(request.suitable(), signal, 0, request.host.label);
  await type.suitable?.(boundHost(request.host, signal));
  const wishes = knownWishes(type, inputs);
  const owner = ownerOf(request.urn);
  const claim: Claim = {
    ...owner,
    nonce: (outputs && nonceOf(outputs)) ?? randomUUID(),
    inputs: publicInputs(type, inputs),
  };
  const did = { begin: false };
  const work: Work = {
    type,
    host: boundHost(request.host, signal),
    wishes,
    known: { name, state: outputs && stateOf(type.definition, outputs) },
    progress,
    begin: () => (did.begin = true),
  };
  const before = await takeClaim(request, { name, wishes, isNew: work.known.state === undefined }, claim);
  const ownership = { claim: claim.nonce, claimed: true };
  try {
    const observed = await reach(work, "plan");
    if (observed.is === "absent") {
      throw new NetdiskError(
        "UNFINISHED",
        `${request.host.label}: ${idOf(work)} is not there, and nothing is planned to make it. ` +
          "This is a mistake in netdisk; please report it.",
      );
    }
    return { id: idOf(work), outputs: outputsOf(type.definition, observed.state, inputs, ownership) };
  } catch (error) {
    if (!did.begin) {
      // Nothing was changed: neither shall the claim be. Failing at that must not hide the real failure.
      await claims.restore(type.definition, name, claim, before).catch(() => undefined);
      throw error;
    }
    const state = await lastLook(request, request.host, work);
    throw new InitFailed(idOf(work), outputsOf(type.definition, state, inputs, ownership), undefined, error);
  }
}

export async function remove(
  request: Request,
  id: string,
  given: { inputs: Properties; outputs: Properties },
): Promise<void> {
  const { type, claims, urn, signal, progress, asked } = request;
  const { definition } = type;
  const host = boundHost(request.host, signal);
  const name = nameOf(type, id);
  const nonce = nonceOf(given.outputs);
  const claimant = { ...ownerOf(urn), nonce };
  const { own, others } = holders(await claims.current(), definition, name, claimant);
  // Renamed or moved inside the program: the thing has a new resource, which made the claim anew.
  if (own && nonce !== undefined && own.nonce !== nonce) {
    if (asked(definition.kind, name)) return;
    progress.say(
      `${host.label}: ${id} is left as it is: by now it is that of ${own.urn}. ` +
        "If the state does not have that, a run was killed before it was written: run `pulumi up`, then this again.",
      "warning",
    );
    return;
  }
  if (!own && others[0]) {
    if (!definition.shared) {
      const { project, stack } = others[0];
      progress.say(
        `${host.label}: ${id} is left as it is: it belongs to the stack ${project}/${stack} by now.`,
        "warning",
      );
    }
    return;
  }
  const claim = own ?? claimant;
  const mayStay = definition.shared || others.length > 0;
  const work: Work = {
    type,
    host,
    wishes: knownWishes(type, given.inputs),
    known: { name, state: stateOf(definition, given.outputs), asked },
    progress,
    ...(mayStay && { unless: isShared(definition, name, claim) }),
  };
  // Whoever comes while the last one goes has the thing from then on.
  for (let gone = false; !gone;) {
    if (mayStay && (await claims.leave(definition, name, claim))) return;
    gone = await removeThing(work);
  }
  await claims.release(definition, name, claim);
}

/** False: another stack uses the thing by now. */
async function removeThing(work: Work): Promise<boolean> {
  const { type, host, wishes, known, progress } = work;
  const look = await type.observe(host, wishes, known);
  if (look.is === "foreign") {
    progress.say(`${host.label}: left alone: ${look.what}. ${look.cure}`, "warning");
    return true;
  }
  if (look.is === "hidden") {
    // Nothing to do for it in any case: then it need not be seen, nor ever have been.
    const state = known.state ?? {};
    if (type.planRemoval({ is: "present", state }, wishes, known).length === 0) return true;
  }
  try {
    await reach(work, "planRemoval", look);
    return true;
  } catch (error) {
    if (error instanceof StillUsed) return false;
    throw error;
  }
}
