/** The stack's file, read again to show where a mistake is: the engine hands over values without their places. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { projectDirectory } from "../provider/host/projectPath";
import { StackText } from "../schema/stackText";

/** Undefined where the stack has no file of its own: all is from `--config-file` or the environment. */
export function stackText(): StackText | undefined {
  const folder = projectDirectory();
  const project = join(folder, "Pulumi.yaml");
  if (!existsSync(project)) return undefined;
  const settings = parse(readFileSync(project, "utf8")) as { stackConfigDir?: string } | null;
  const file = join(settings?.stackConfigDir ?? ".", `Pulumi.${pulumi.getStack()}.yaml`);
  const path = join(folder, file);
  return existsSync(path) ? new StackText(file, readFileSync(path, "utf8"), pulumi.getProject()) : undefined;
}
