import type * as pulumi from "@pulumi/pulumi";
import { backingFile } from "../schema/paths";
import type { EncryptedDiskArgs } from "./diskArgs";
import * as parts from "./resources";

/** What the export serves, how large it is, and where its bytes lie (below a loop device: the file). */
export function backingOf(
  resourceName: string,
  name: string,
  { server, file, device, erase, adopt }: EncryptedDiskArgs,
  onServer: (...dependsOn: pulumi.Resource[]) => pulumi.CustomResourceOptions,
): Record<"path" | "stored", pulumi.Output<string>> & { size: parts.BackingFile["size"] } {
  const owner = server.config.user;
  if (device) {
    const { path, size } = new parts.BlockDevice(
      resourceName,
      { name, path: device.path, owner, ...(adopt !== undefined && { adopt }) },
      onServer(),
    );
    return { path, size, stored: path };
  }
  if (!file) throw new Error("a disk with neither file nor device: refuseDiskMistakes lets none through");
  const path = file.path ?? backingFile(name);
  // Before the file, so that it is removed after all that uses it.
  const order =
    erase === undefined
      ? []
      : [new parts.EraseFile(resourceName, { name, path, luksUuid: erase }, onServer())];
  const made = new parts.BackingFile(
    resourceName,
    { name, owner, ...file, path, ...(adopt !== undefined && { adopt }) },
    onServer(...order),
  );
  if (!file.loop) return { path: made.path, size: made.size, stored: made.path };
  const over = { name, file: made.path, size: made.size, owner };
  const { device: served, size } = new parts.LoopDevice(resourceName, over, onServer());
  return { path: served, size, stored: made.path };
}
