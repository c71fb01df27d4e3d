/** Directories of a server whose files do not last. Pure. */

/** Where the line goes that has the server leave a file alone. */
const exemptions = "/etc/tmpfiles.d/netdisk.conf";

/** The directory of these that a path lies below. */
export const emptiedDirectory = (path: string): "/tmp" | "/var/tmp" | undefined =>
  (["/tmp", "/var/tmp"] as const).find((directory) => path.startsWith(`${directory}/`));

/** What stands in such a line for itself only: nothing that is a glob, a specifier or quoted there. */
const isPlain = (path: string): boolean => /^[\w@+=:,./-]+$/.test(path);

/** What a person should know of a disk's file at this path, without the path and the last full stop; undefined: nothing. */
export function lossAt(path: string): string | undefined {
  switch (emptiedDirectory(path)) {
    case undefined:
      return undefined;
    case "/tmp":
      return "lies in /tmp, which many servers empty when they boot. Choose another path";
    case "/var/tmp": {
      const cure = isPlain(path) ? `, or write \`x ${path}\` into ${exemptions} on the server` : "";
      return `lies in /var/tmp, where a newly installed Debian 13 removes what was not used for 30 days. Choose another path${cure}`;
    }
  }
}
