/** Test cases as data: one YAML file per case, in a folder per subject. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export interface CaseFile<T> {
  subject: string;
  name: string;
  data: T;
}

/** All cases below `folder`: `<subject>/<case>.yaml`. */
export function caseFiles<T>(folder: string): CaseFile<T>[] {
  const root = join(__dirname, folder);
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: subject }) =>
      readdirSync(join(root, subject))
        .filter((file) => file.endsWith(".yaml"))
        .map((file) => ({
          subject,
          name: file.replace(/\.yaml$/, ""),
          data: parse(readFileSync(join(root, subject, file), "utf8")) as T,
        })),
    );
}
