/** A stack file that is no YAML: the engine refuses it with a bare line number; `npm run check-stack` shows the place. */
import { describe, expect, it } from "vitest";
import { StackText } from "../../schema/stackText";

const errorsOf = (text: string) =>
  new StackText("stacks/Pulumi.home.yaml", text, "netdisk-hosts").syntaxErrors();

describe("syntax errors", () => {
  it("are shown at their place, once for each line", () => {
    const text = "config:\n  server: { host: backup\n  client: { connection: local }\n";
    expect(errorsOf(text)).toEqual([
      [
        "Flow map in block collection must be sufficiently indented and end with a }",
        "at stacks/Pulumi.home.yaml:3:3",
        "    client: { connection: local }",
        "    ^",
      ].join("\n"),
    ]);
  });

  it.each([
    'config:\n  recovery:\n    passphrase: "hunter2" hunter2\n',
    "config:\n  recovery: { passphrase: hunter2: hunter2 }\n",
    "config:\n  server:\n    privateKey: |\n      -----BEGIN\n    hunter2\n   hunter2\n",
    "config:\n  recovery:\n\tpassphrase: hunter2\n",
    "config:\n  recovery:\n    passphrase: 'hunter2\n",
    "config:\n  recovery:\n    passphrase: @hunter2\n",
    "config:\n  recovery:\n    passphrase: { secure: hunter2\n",
    "config:\n  recovery:\n    passphrase: [hunter2, hunter2\n",
  ])("show no secret: %j", (text) => {
    const errors = errorsOf(text);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.join("\n")).not.toContain("hunter2");
  });
});

it("knows what the file says, without the project's name and without what is encrypted", () => {
  const text =
    "config:\n  netdisk-hosts:recovery: { passphrase: { secure: v1:x } }\n  aws:region: x\n  server: { port: 22 }\n";
  expect(new StackText("f", text, "netdisk-hosts").values()).toEqual({
    recovery: { passphrase: "an encrypted value" },
    server: { port: 22 },
  });
});
