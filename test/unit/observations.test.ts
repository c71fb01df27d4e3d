/**
 * Every observation against what real hosts answered (test/e2e/harness/record.ts made the cases): what a resource makes
 * of it, and which properties a preview then names. `observations/<Type>/<case>.yaml`.
 */
import { describe, expect, it } from "vitest";
import { knownWishes } from "../../provider/check";
import { diff } from "../../provider/diff";
import { stateOf } from "../../provider/outputs";
import { registry } from "../../provider/registry";
import { Secret } from "../../schema/secret";
import { caseFiles } from "./caseFiles";
import { answeringHost, type Answers, type ObservationCase } from "./observationCase";

const cases = caseFiles<ObservationCase>("observations");

function whole(subject: string, data: ObservationCase): ObservationCase {
  const base =
    data.like === undefined
      ? undefined
      : cases.find((it) => it.subject === subject && it.name === data.like)?.data;
  if (data.like !== undefined && !base) throw new Error(`no case ${subject}/${data.like}`);
  const answers: Answers = {
    commands: { ...base?.answers.commands, ...data.answers.commands },
    files: { ...base?.answers.files, ...data.answers.files },
  };
  return { ...base, ...data, answers };
}

/** As the recorder wrote it: a Secret prints as ***. */
const written = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

it.each([...new Set(cases.map(({ subject }) => subject))])("%s was recorded in order, too", (subject) => {
  const clean = cases.filter((it) => it.subject === subject && it.data.differs?.length === 0);
  expect(clean.length, `no case without a difference in observations/${subject}`).toBeGreaterThan(0);
});

describe.each(cases)("$subject/$name", (one) => {
  it("observes", async () => {
    const { subject, data } = one;
    const type = registry.get(`netdisk:index:${subject}`);
    if (!type) throw new Error(`no resource type is called ${subject}`);
    const all = whole(subject, data);
    const { inputs = {}, known = { name: "" }, answers, observed, differs, revealed = {} } = all;
    const state = stateOf(type.definition, known.state ?? {});
    const look = await type.observe(answeringHost(answers), knownWishes(type, inputs), { ...known, state });
    expect(written(look)).toEqual(observed);
    if (look.is !== "present") return;
    for (const [key, secret] of Object.entries(revealed)) {
      const seen = (look.state as Record<string, unknown>)[key];
      expect(seen instanceof Secret && seen.reveal(), key).toBe(secret);
    }
    const changes = diff(type, { oldInputs: inputs, state: { ...look.state, claimed: true }, news: inputs });
    expect(Object.keys(changes).sort()).toEqual(differs);
  });
});
