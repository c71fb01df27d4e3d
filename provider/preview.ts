/** What `up` would do, said before it does it. */
import { boundHost, orAborted, timeLimit } from "./boundHost";
import { knownWishes, unknownFields } from "./check";
import { claimedError, holders, ownerOf } from "./claims";
import { diff } from "./diff";
import { coded, type ErrorCode, foreign, NetdiskError } from "./errors";
import type { FoundClaim } from "./facts/claims";
import { nonceOf, stateOf } from "./outputs";
import { fileTaken } from "./ownFile";
import { describe, planned, remark } from "./reach";
import type { Request, Wanted } from "./request";
import type { ResourceType } from "./resource";
import { plain, type Properties } from "./wire/values";

/** A preview that takes longer is of less use than one that says less. */
const previewMs = 9000;
/** What somebody has given an order for is what he wants to see. */
const orderMs = 120_000;

const isOrdered = ({ definition }: ResourceType, inputs: Properties): boolean =>
  Object.entries(definition.inputs).some(
    ([key, { role }]) => role === "order" && plain(inputs[key]).value !== undefined,
  );

/**
 * A create of what is there already: what would be changed of it, before and after. `own`: this stack's claim on it. One of
 * this very resource is that of a run that was killed or of a state that was lost, both of which go on from here; nothing
 * on the host tells them from a second backend with a stack of the same name, so a person is asked.
 */
function found(
  { type, urn }: Request,
  { name, inputs }: Wanted,
  state: Properties,
  own: FoundClaim | undefined,
): string[] {
  const changes = diff(type, { oldInputs: inputs, state: { ...state, claimed: true }, news: inputs });
  return [
    `${type.definition.kind}/${name} is there already, and is taken over as it is`,
    ...(own?.urn === urn
      ? [
          `a stack ${own.project}/${own.stack} has it that this state does not know: of a run that was killed, or of a state that was lost. ` +
            "If a stack of that name in another backend uses it, give this one another name",
        ]
      : []),
    ...Object.keys(changes).map(
      (key) => `${key}: ${shown(plain(state[key]))} → ${shown(plain(inputs[key]))}`,
    ),
  ];
}

const shown = ({ value, unknown, secret }: ReturnType<typeof plain>): string =>
  secret
    ? "(secret)"
    : unknown
      ? "<known later>"
      : value === undefined
        ? "(not there)"
        : JSON.stringify(value);

/** A host that does not answer yet needs no words: all its resources would say the same. */
const unmade: ReadonlySet<ErrorCode> = new Set(["UNREACHABLE", "TIMEOUT", "CANCELLED"]);

/** The property of a difference, before and after, for a person. */
function differences(
  request: Request,
  wanted: Wanted & { outputs: Properties; oldInputs: Properties },
): string[] {
  const { oldInputs, outputs, inputs } = wanted;
  const changes = diff(request.type, { oldInputs, state: outputs, news: inputs });
  return Object.entries(changes).map(([key, { fromInput }]) => {
    const before = plain((fromInput ? oldInputs : outputs)[key]);
    const after = plain(inputs[key]);
    if (before.secret || after.secret) return `${key} changes`;
    return `${key}: ${shown(before)} → ${shown(after)}`;
  });
}

/**
 * Why a look at what is known already may fail although `up` will come through; undefined where that must be seen to
 * first. The read before has just seen it, or has said that the program for it is missing.
 */
function notForeseen(error: NetdiskError, label: string, late: number | undefined): string | undefined {
  if (error.code === "NO_TOOL") return coded(error);
  if (error.code !== "CANCELLED" || late === undefined) return undefined;
  return `a look at ${label} takes longer than ${late / 1000} s, as with slow key slots (\`iterTime\`) or a slow link. \`pulumi up\` takes the time.`;
}

/**
 * Says what `up` would do. Reads the host, changes nothing. A host that a create cannot read may be one that
 * `up` is still going to make. Of wishes that are not all known, only what differs and whether the host is suitable.
 *
 * @param limitMs What takes longer is not foreseen.
 */
export async function preview(
  request: Request,
  wanted: Wanted & { oldInputs?: Properties },
  limitMs = isOrdered(request.type, wanted.inputs) ? orderMs : previewMs,
): Promise<void> {
  const { type, claims, progress, urn } = request;
  const { definition } = type;
  const limit = timeLimit(limitMs, request.signal);
  const host = boundHost(request.host, limit.signal, 0);
  const wishes = knownWishes(type, wanted.inputs);
  const known = { name: wanted.name, state: wanted.outputs && stateOf(definition, wanted.outputs) };
  // Of what was found absent the state holds no more than the claim: what is said of it is what is said of a create.
  const isKnown = known.state !== undefined;
  const differs =
    wanted.outputs && isKnown
      ? differences(request, { ...wanted, outputs: wanted.outputs, oldInputs: wanted.oldInputs ?? {} })
      : [];
  let isSuitable = false;
  try {
    await orAborted(request.suitable(), limit.signal, 0, host.label);
    await type.suitable?.(host);
    if (unknownFields(type, wanted.inputs).length > 0) {
      if (differs.length > 0) progress.say(differs.join("\n"));
      return;
    }
    isSuitable = true;
    const [look, all] = await Promise.all([
      type.observe(host, wishes, known),
      orAborted(claims.all(), limit.signal, 0, host.label),
    ]);
    const nonce = wanted.outputs && nonceOf(wanted.outputs);
    const { own, others } = holders(all, definition, wanted.name, { ...ownerOf(urn), nonce });
    if (!definition.shared && !own && others[0])
      throw claimedError(host.label, definition, wanted.name, others[0]);
    const taken = isKnown ? undefined : await fileTaken(host, type, { name: wanted.name, wishes }, all);
    if (taken) throw taken;
    if (look.is === "foreign") progress.say(coded(foreign(host.label, look.what, look.cure)), "warning");
    if (look.is === "foreign" || look.is === "hidden") return;
    // Of what is known already, the read before it has just said it.
    if (!isKnown) remark({ host, progress }, look);
    const steps = planned({ type, host, wishes, known }, "plan", look);
    const there = look.is === "present" && !wanted.outputs ? found(request, wanted, look.state, own) : [];
    const lines = [...there, ...differs, ...steps.map((step) => `would run: ${describe(step)}`)];
    if (lines.length > 0) progress.say(lines.join("\n"));
  } catch (error) {
    if (!(error instanceof NetdiskError) || error.code === "CLAIMED") throw error;
    if (isKnown) {
      const late = limit.signal.aborted && !request.signal.aborted ? limitMs : undefined;
      const reason = notForeseen(error, host.label, late);
      if (reason === undefined) throw error;
      progress.say([...differs, `cannot be foreseen: ${reason}`].join("\n"));
      return;
    }
    // A login or a host that `up` will not mend either.
    if (error.code === "CONFIG" && !isSuitable) throw error;
    // A create: the host, or what this thing stands on, may be made by this very run (no nbd-server yet on a bare
    // host). So it cannot be foreseen, which is said, but is no reason to stop; `up` itself will stop if it is one.
    if (!unmade.has(error.code)) progress.say(`cannot be foreseen: ${coded(error)}`);
  } finally {
    limit.clear();
  }
}
