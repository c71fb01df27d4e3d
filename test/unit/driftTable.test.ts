/** drift.yaml has a row for every property of every type that can drift, or it is said here why not. */
import { expect, it } from "vitest";
import { type Field, isObserved } from "../../schema/define";
import { definitions } from "../../schema/index";
import { drifts, ofMoreDisks, ofOneDisk } from "../e2e/harness/driftTable";

/** TYPE or `TYPE property`, and what shows or forbids its drift instead. */
const elsewhere: Record<string, string> = {
  "Packages packages": "a list, which a preview prints as one: its row names the type",
  "LoopDevice size": "grow.long: the file grows below it",
  "BlockDevice exists": "plans/BlockDevice/gone.yaml: the lab cannot take a disk out of a running host",
  "AuthFile reader": "is who tries to read it: `readable` has the row",
  "SourceBuild configure": "a list; in the manifest beside `ref`, which has a row",
  "SourceBuild runs":
    "plans/SourceBuild/library-gone.yaml: a library that is really gone leaves no build either",
  "KnownHost jumps": "a record, which a preview prints as one: its row names the type",
  "Tunnel endpoint":
    "on the command line beside `remote`, which has a row; such a tunnel ends before it is looked at",
  "Tunnel user":
    "on the command line beside `remote`, which has a row; such a tunnel ends before it is looked at",
  "Tunnel jump": "hosts.long, and plans/Tunnel/jump.yaml",
  "Session jump": "beside `endpoint`, which has a row",
  "Attachment transport": "transport.long: to a session and back",
  "Attachment client": "on the command line beside `timeout`, which has a row",
  "Attachment revision": "inUse: nbd-server got another export",
  "LuksKey sealed": "sealed.long",
  "Luks keySlot": "rotate.long",
  "Recovery inPlace": "burntDown.long: a client that only lost key and header",
  "Mapping unlock": "what a run may do, nothing of the host's",
  "Mapping whole": "grow.long",
  "Filesystem rawSize": "grow.long",
  "Mount transport": "transport.long: to a session and back",
  "Mount unlock": "what a run may do, nothing of the host's",
  "DiskTarget transport": "transport.long: to a session and back",
  "DiskTarget unlock": "what a run may do, nothing of the host's",
  "Erase recorded": "erase.long",
  "EraseFile recorded": "erase.long",
};

const properties = (of: (field: Field) => boolean): string[] =>
  Object.entries(definitions).flatMap(([type, { inputs, conditions }]) =>
    [
      ...Object.entries<Field>(inputs).flatMap(([key, field]) => (of(field) ? [key] : [])),
      ...Object.keys(conditions),
    ].map((key) => `${type} ${key}`),
  );

/** Conditions, and wishes that are read from the host and brought back. What is fixed says who the thing is. */
const canDrift = properties(({ role }) => role === "settable").filter(
  (property) => !property.endsWith(" name"),
);

const isElsewhere = (property: string): boolean =>
  property in elsewhere || (property.split(" ")[0] ?? "") in elsewhere;

it("covers every property of every type", () => {
  const named = new Set(drifts.flatMap(({ names }) => names));
  expect(canDrift.filter((property) => !named.has(property) && !isElsewhere(property))).toEqual([]);
});

it("names only properties that there are, and gives a reason only where there is no row", () => {
  const types = Object.keys(definitions);
  const named = drifts.flatMap(({ names }) => names).filter((name) => !name.startsWith("("));
  const shown = [...types, ...properties(isObserved)];
  expect(named.filter((name) => !shown.includes(name))).toEqual([]);
  expect(Object.keys(elsewhere).filter((name) => named.includes(name))).toEqual([]);
});

it("has a proof of every repair, which a missing file is not", () => {
  const repaired = drifts.filter(({ batch }) => batch !== undefined);
  expect(repaired.filter(({ restores, same, check }) => !(restores ?? same ?? check))).toEqual([]);
  expect(drifts.filter(({ check }) => check !== undefined && /! (grep|cmp)/.test(check))).toEqual([]);
});

it("has one row for each property in a batch, so that none is named for another's sake", () => {
  for (const { rows } of [...ofOneDisk.batches, ...ofMoreDisks.batches]) {
    const named = rows.flatMap(({ of, names }) => names.map((name) => `${of}: ${name}`));
    expect(named).toEqual([...new Set(named)]);
  }
});
