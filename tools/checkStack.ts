/** `npm run check-stack -- NAME…`: what is wrong with stack files, YAML itself included, without engine or hosts. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { secretPaths } from "../schema/stack";
import { stackReport, stackWarningReport } from "../schema/stackReport";
import { StackText } from "../schema/stackText";

// dist/tools/checkStack.js
const root = join(__dirname, "../..");
const { name: project, stackConfigDir = "." } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as {
  name: string;
  stackConfigDir?: string;
};

interface Report {
  /** The whole message, or undefined where nothing is wrong. */
  mistakes?: string;
  warnings?: string;
}

function check(stack: string): Report {
  const file = join(stackConfigDir, `Pulumi.${stack}.yaml`);
  if (!existsSync(join(root, file)))
    return { mistakes: `${file} is not there. \`npm run new-stack -- ${stack}\` writes it.` };
  const text = new StackText(file, readFileSync(join(root, file), "utf8"), project);
  const syntax = text.syntaxErrors();
  if (syntax.length > 0)
    return {
      mistakes: [`${file} is no YAML:`, ...syntax.map((it) => it.replace(/^/gm, "  "))].join("\n"),
    };
  const values = text.values();
  const mistakes = stackReport(
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
  return { mistakes, warnings: stackWarningReport({ stack, values }, text) };
}

const stacks = process.argv.slice(2);
if (stacks.length === 0 || stacks.includes("--help")) {
  process.stdout.write(
    "npm run check-stack -- NAME...\n\nSays what is wrong with stack files; exits 1 where something is. A warning is nothing wrong.\n",
  );
}
for (const stack of stacks.filter((it) => it !== "--help")) {
  const { mistakes, warnings } = check(stack);
  process.stdout.write(`${mistakes ?? `${stack}: no mistakes`}\n`);
  if (mistakes !== undefined) process.exitCode = 1;
  if (warnings !== undefined) process.stdout.write(`${warnings}\n`);
}
