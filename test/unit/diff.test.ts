import { describe, expect, it } from "vitest";
import * as z from "zod";
import { diff, project } from "../../provider/diff";
import { resourceType } from "../../provider/resource";
import { unknown } from "../../provider/wire/values";
import { define, field } from "../../schema/define";
import { canonicalSize, nameField, size } from "../../schema/fields";
import { Secret } from "../../schema/secret";

const type = resourceType({
  definition: define({
    token: "netdisk:index:Thing",
    kind: "thing",
    doc: "For tests.",
    shared: false,
    inputs: {
      name: nameField,
      size: field(size, { doc: "Size.", canonical: canonicalSize }),
      version: field(z.string().default("latest"), { doc: "Version." }),
      comment: field(z.string().optional(), { doc: "Any text." }),
      passphrase: field(z.string().optional(), { doc: "Secret.", role: "unobserved", secret: true }),
    },
    conditions: { active: { value: true, doc: "Runs." } },
    outputs: { path: field(z.string(), { doc: "Path." }) },
  }),
  name: ({ name }) => name,
  satisfied: (property, _state, { version }) => (property === "version" && version === "latest") || undefined,
  observe: () => Promise.resolve({ is: "absent" }),
  plan: () => [],
  planRemoval: () => [],
});

const inputs = { name: "x", size: "1024 MiB", version: "2", active: true, claimed: true };
const state = { name: "x", size: "1 GiB", version: "2", active: true, claimed: true, claim: "n", path: "/x" };
const changes = (change: { oldInputs?: object; state?: object; news?: object }) =>
  diff(type, {
    oldInputs: { ...inputs, ...change.oldInputs },
    state: { ...state, ...change.state },
    news: { ...inputs, ...change.news },
  });

describe("diff", () => {
  it.each([
    ["nothing", {}, {}],
    ["another spelling", { news: { size: "1048576 KiB" } }, {}],
    ["a changed wish", { news: { size: "2 GiB" } }, { size: { kind: "update", fromInput: false } }],
    ["drift", { state: { size: "3 GiB" } }, { size: { kind: "update", fromInput: false } }],
    [
      "drift that a refresh took into the inputs",
      { oldInputs: { size: "3 GiB" }, state: { size: "3 GiB" } },
      { size: { kind: "update", fromInput: false } },
    ],
    [
      "a condition that does not hold",
      { state: { active: false } },
      { active: { kind: "update", fromInput: false } },
    ],
    ["a lost claim", { state: { claimed: false } }, { claimed: { kind: "update", fromInput: false } }],
    [
      "a condition that nobody minds (ignoreChanges)",
      { state: { active: false }, news: { active: false } },
      {},
    ],
    ["an unknown wish", { news: { version: unknown } }, { version: { kind: "update", fromInput: false } }],
    ["a wish that the type finds fulfilled", { news: { version: "latest" } }, {}],
    ["no wish", { state: { comment: "by hand" } }, {}],
    [
      "a wish for what is not there",
      { state: { comment: undefined }, news: { comment: "c" } },
      { comment: { kind: "add", fromInput: false } },
    ],
    [
      "a changed secret",
      { oldInputs: { passphrase: new Secret("a") }, news: { passphrase: new Secret("b") } },
      { passphrase: { kind: "update", fromInput: true } },
    ],
    [
      "the same secret",
      { oldInputs: { passphrase: new Secret("a") }, news: { passphrase: new Secret("a") } },
      {},
    ],
    [
      "a removed secret",
      { oldInputs: { passphrase: new Secret("a") } },
      { passphrase: { kind: "delete", fromInput: true } },
    ],
    ["an output", { state: { path: "/y" } }, {}],
  ])("of %s", (_, change, expected) => expect(changes(change)).toEqual(expected));

  it("of a create that made nothing names everything", () => {
    const all = diff(type, { oldInputs: inputs, state: { claim: "n", claimed: true }, news: inputs });
    expect(Object.keys(all).sort()).toEqual(["active", "name", "size", "version"]);
    expect(all.size).toEqual({ kind: "add", fromInput: false });
  });

  it("called the other way round by a refresh shows what the host changed", () => {
    const live = { ...state, active: false, size: "3 GiB" };
    const read = project(type, inputs, live);
    const inverted = diff(type, { oldInputs: read, state: live, news: inputs });
    expect(Object.keys(inverted).sort()).toEqual(["active", "size"]);
    // A second refresh has nothing to tell.
    expect(diff(type, { oldInputs: read, state: live, news: read })).toEqual({});
  });
});

describe("project", () => {
  it("puts the host's values on the keys of the inputs, and keeps spellings, secrets and wishes met", () => {
    const given = { ...inputs, version: "latest", passphrase: new Secret("a") };
    const live = { ...state, size: "1 GiB", version: "7", active: false, comment: "not asked for" };
    expect(project(type, given, live)).toEqual({ ...given, active: false });
    expect(project(type, given, { ...live, size: "2 GiB" })).toEqual({
      ...given,
      active: false,
      size: "2 GiB",
    });
  });
});
