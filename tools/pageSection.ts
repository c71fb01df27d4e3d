/** The sections of the pages in docs/ that a benchmark or a suite writes, so that figures come from runs and not from hands. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The checkout, from its sources and from dist/ alike. */
function checkoutOf(directory: string): string {
  return existsSync(join(directory, "docs/benchmarks.md")) ? directory : checkoutOf(dirname(directory));
}

export const root = checkoutOf(__dirname);

/** Replaces what stands between `<!-- NAME: … -->` and `<!-- end of NAME -->` on a page of docs/. */
export function writePageSection(page: string, name: string, section: string): void {
  const file = join(root, "docs", page);
  const text = readFileSync(file, "utf8");
  const begin = new RegExp(`^<!-- ${name}: .*-->$`, "m").exec(text)?.[0];
  const end = `<!-- end of ${name} -->`;
  if (begin === undefined || text.indexOf(end) < text.indexOf(begin))
    throw new Error(`${file} has no place for it. Put "<!-- ${name}: … -->" and "${end}" there.`);
  const before = text.slice(0, text.indexOf(begin) + begin.length);
  writeFileSync(file, `${before}\n\n${section}\n\n${text.slice(text.indexOf(end))}`);
}
