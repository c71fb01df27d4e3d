/** The reader of previews: what is said of one resource proves nothing of another. */
import { expect, it } from "vitest";
import { remarksOn, rowsOf } from "../e2e/harness/previewText";

const output = `\
Previewing update (e2e):

@ previewing update....
 ~  netdisk:index:Mount testdisk refreshing
 ~  netdisk:index:Packages client refresh
 ~  netdisk:index:Mount testdisk refresh [diff: ~active]
@ previewing update....
    netdisk:index:Packages client
 ~  netdisk:index:Packages client-session update [diff: ~packages]
 ~  netdisk:index:Mount testdisk update [diff: ~active]
 ~  netdisk:index:Mount testdisk update [diff: ~active]; active: false → true
 +  netdisk:index:Mount looped create
Diagnostics:
  netdisk:index:DiskTarget (testdisk):
    installed: false → true
    would run: systemctl daemon-reload

  netdisk:index:Mount (testdisk):
    active: false → true

Resources:
    ~ 3 to update
`;

it("takes no resource for another", () => {
  expect(rowsOf(output, "Mount", "testdisk")).toHaveLength(2);
  expect(rowsOf(output, "Mount", "looped")).toEqual([" +  netdisk:index:Mount looped create"]);
  expect(rowsOf(output, "(Mapping|Mount)", "looped")).toHaveLength(1);
  expect(remarksOn(output, "Mount", "testdisk").join("\n").trimEnd()).toMatch(/: false → true$/);
  expect(remarksOn(output, "Mount", "looped")).toEqual([]);
  expect(remarksOn(output, "DiskTarget", "testdisk").join("\n")).not.toContain("active");
});

it("takes no look at a resource for a change of it", () => {
  expect(rowsOf(output, "Packages", "client")).toEqual([]);
  expect(rowsOf(output, "Mount", "testdisk").join("\n")).not.toContain("refresh");
});

it("takes the refusal of a change for its row", () => {
  const refused =
    " ~  netdisk:index:BackingFile testdisk refresh [diff: ~size]; error: property size has a problem";
  expect(rowsOf(`${output}\n${refused}`, "BackingFile", "testdisk")).toEqual([refused]);
});
