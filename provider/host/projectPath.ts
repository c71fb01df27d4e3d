/** Paths that the user wrote in the stack file. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

/** The directory of Pulumi.yaml: the engine runs the provider further down, where the project's `main` is. */
export function projectDirectory(from = process.cwd()): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "Pulumi.yaml"))) return folder;
    if (folder === dirname(folder)) return from;
  }
}

/** `~` is the user's home; a relative path begins at the directory of Pulumi.yaml. */
export const projectPath = (path: string): string =>
  resolve(projectDirectory(), path.replace(/^~(?=\/|$)/, homedir()));
