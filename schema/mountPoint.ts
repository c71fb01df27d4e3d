/** Where a client may mount a disk: not over what the host itself needs. */
import { absolutePath } from "./fields";
import { etcDir, libDir, nbdPrefix, runDir, scriptDir } from "./paths";

/** Below these a disk has no harm to do: a database below /var/lib, a home below /root. */
const needed = [
  ...["/", "/bin", "/boot", "/lib", "/lib32", "/lib64", "/libx32", "/root", "/sbin", "/tmp"],
  ...["/usr/bin", "/usr/lib", "/usr/sbin", "/usr/local/sbin"],
];

/** The kernel's, and netdisk's own: no disk below these, nor over what leads to them, such as /etc and /var/lib. */
const taken = ["/dev", "/proc", "/run", "/sys", etcDir, libDir, runDir, scriptDir, nbdPrefix];

export const isBelow = (path: string, directory: string): boolean => path.startsWith(`${directory}/`);

const isTaken = (path: string): boolean =>
  needed.includes(path) ||
  taken.some((directory) => path === directory || isBelow(path, directory) || isBelow(directory, path));

export const mountPoint = absolutePath
  .refine((path) => !isTaken(path), {
    message: "must be a directory that the client does not need for itself or netdisk, such as /mnt/disk",
  })
  // In the kernel's list of mounts they are other characters.
  .refine((path) => !/[\\\t]/.test(path), {
    message: "must be a path without a backslash or tab, such as /mnt/disk",
  });
