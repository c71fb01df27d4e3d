/** What is said in two languages, since it is needed in both: here they are held to the same. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { luksHeader } from "../../provider/facts/cryptsetup";
import { gpgBy } from "../../provider/facts/gpgCommand";
import { usedPart } from "../../provider/resources/luksSteps";
import { caseFiles } from "./caseFiles";
import { stubbedShell } from "./stubbedShell";

interface HeaderCase {
  stdout: string;
  /** Of LUKS2: what cryptsetup tells people of the header, not programs. Of LUKS1 it says nothing else. */
  luksDump?: string;
  expect?: { type: string };
}

const headers = caseFiles<HeaderCase>("facts")
  .filter(({ subject }) => subject === luksHeader.name)
  .filter(({ data }) => data.luksDump !== undefined || data.expect?.type === "luks1");

it("has headers of both types to reckon with", () => {
  expect(new Set(headers.map(({ data }) => data.expect?.type))).toEqual(new Set(["luks1", "luks2"]));
});

it.each(headers)(
  "a header's used part is as long for a step on a host as for the fact: $name",
  ({ data }) => {
    const shell = stubbedShell();
    shell.write("dump", data.luksDump ?? data.stdout);
    shell.stub("cryptsetup", `exec cat ${shell.path("dump")}`);
    const known = luksHeader.parse({ exitCode: 0, stdout: data.stdout, stderr: "" }, "/header");
    expect(shell.run(usedPart("/header").text).stdout).toBe(`${known?.used}\n`);
  },
);

it("a disk's own script unseals its key with the same options as a run", () => {
  const script = readFileSync(join(__dirname, "../../templates/open.sh"), "utf8").replaceAll(/\\\n\s*/g, "");
  const [own] = /gpg --homedir .* --passphrase-fd 0/.exec(script) ?? [];
  // Only the directory in memory has another name.
  expect(own?.replace('"$home"', '"$t"')).toBe(gpgBy(0).text);
});
