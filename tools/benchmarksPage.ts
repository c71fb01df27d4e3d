/** The sections of docs/benchmarks.md that a benchmark writes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The checkout, from its sources and from dist/ alike. */
function checkoutOf(directory: string): string {
  return existsSync(join(directory, "docs/benchmarks.md")) ? directory : checkoutOf(dirname(directory));
}

export const root = checkoutOf(__dirname);
const page = join(root, "docs/benchmarks.md");

/** Replaces what stands between `<!-- NAME: … -->` and `<!-- end of NAME -->`. */
export function writeSection(name: string, section: string): void {
  const text = readFileSync(page, "utf8");
  const begin = new RegExp(`^<!-- ${name}: .*-->$`, "m").exec(text)?.[0];
  const end = `<!-- end of ${name} -->`;
  if (begin === undefined || text.indexOf(end) < text.indexOf(begin))
    throw new Error(`${page} has no place for it. Put "<!-- ${name}: … -->" and "${end}" there.`);
  const before = text.slice(0, text.indexOf(begin) + begin.length);
  writeFileSync(page, `${before}\n\n${section}\n\n${text.slice(text.indexOf(end))}`);
}
