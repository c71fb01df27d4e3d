/** `npm run schema`: writes schema.json and docs/reference.md from the definitions. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { schemaText } from "./pulumi";
import { referenceText } from "./reference";

// dist/schema/write.js
const root = join(__dirname, "../..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
writeFileSync(join(root, "schema.json"), schemaText(version));
writeFileSync(join(root, "docs/reference.md"), referenceText());
