/** `npm run check-stack -- NAME…`: what is wrong with stack files, YAML itself included, without engine or hosts. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { secretPaths } from "../schema/stack";
import { stackReport } from "../schema/stackReport";
import { StackText } from "../schema/stackText";

// dist/tools/checkStack.js
const root = join(__dirname, "../..");
const { name: project, stackConfigDir = "." } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as {
  name: string;
  stackConfigDir?: string;
};

/** The whole message, or undefined where nothing is wrong. */
function check(stack: string): string | undefined {
  const file = join(stackConfigDir, `Pulumi.${stack}.yaml`);
  if (!existsSync(join(root, file)))
    return `${file} is not there. \`npm run new-stack -- ${stack}\` writes it.`;
  const text = new StackText(file, readFileSync(join(root, file), "utf8"), project);
  const syntax = text.syntaxErrors();
  if (syntax.length > 0)
    return [`${file} is no YAML:`, ...syntax.map((it) => it.replace(/^/gm, "  "))].join("\n");
  const values = text.values();
  return stackReport(
    {
      stack,
      values,
      // The passphrases and keys of a section; what else is encrypted cannot be read here.
      isEncrypted: (section) =>
        secretPaths(values).some((path) => path[0] === section && text.isEncrypted(path)),
      isUnknown: (path) => text.isEncrypted(path),
    },
    text,
  );
}

const stacks = process.argv.slice(2);
if (stacks.length === 0 || stacks.includes("--help")) {
  process.stdout.write(
    "npm run check-stack -- NAME...\n\nSays what is wrong with stack files; exits 1 where something is.\n",
  );
}
for (const stack of stacks.filter((it) => it !== "--help")) {
  const report = check(stack);
  if (report === undefined) process.stdout.write(`${stack}: no mistakes\n`);
  else {
    process.stdout.write(`${report}\n`);
    process.exitCode = 1;
  }
}
