/** `npm run schema`: writes everything that is generated from the definitions. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { exampleStackText } from "./newStack";
import { schemaText } from "./pulumi";
import { referenceText } from "./reference";
import { stackSchemaText } from "./stackSchema";

// dist/schema/write.js
const root = join(__dirname, "../..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
const { name } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as { name: string };
const files = {
  "schema.json": schemaText(version),
  "docs/reference.md": referenceText(),
  "stacks/stack.schema.json": stackSchemaText(name),
  "stacks/Pulumi.example.yaml": exampleStackText(name),
};
for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text);
