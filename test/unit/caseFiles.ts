/** Test cases as data: one YAML file per case, in a folder per subject. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export class CaseFile<T> {
  private parsed?: T;

  constructor(
    readonly subject: string,
    readonly name: string,
    private readonly path: string,
  ) {}

  /** Read when it is asked for: a run of one case, or of one mutant's few, does not parse them all. */
  get data(): T {
    return (this.parsed ??= parse(readFileSync(this.path, "utf8")) as T);
  }
}

/** All cases below `folder`: `<subject>/<case>.yaml`. */
export function caseFiles<T>(folder: string): CaseFile<T>[] {
  const root = join(__dirname, folder);
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: subject }) =>
      readdirSync(join(root, subject))
        .filter((file) => file.endsWith(".yaml"))
        .map((file) => new CaseFile<T>(subject, file.replace(/\.yaml$/, ""), join(root, subject, file))),
    );
}
