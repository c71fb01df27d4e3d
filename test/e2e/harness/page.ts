/** What a page of docs/ tells its readers to write, so that a test can do it to the letter. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./run";

/** The files under a heading: each code block whose first line is a comment with the file's name. */
export function filesOf(page: string, heading: string): Record<string, string> {
  const text = readFileSync(join(checkout, page), "utf8");
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`${page} has no heading "${heading}"`);
  const blocks = section.matchAll(/^```\w+\n(?:\/\/|#) (\S+)\n(.*?)^```$/gms);
  return Object.fromEntries([...blocks].map(([, file = "", content = ""]) => [file, content]));
}
