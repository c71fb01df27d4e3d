/** When a mount option that somebody wishes is in effect, given the options that the kernel lists. Pure. */

/** Words for mount(8) or fstab, which the kernel never lists. */
const notOptions = /^(defaults|auto|noauto|nofail|_netdev|user|nouser|users|group|owner|x-.*|X-.*)$/;

/** Options that the kernel lists only by listing their opposite, or not. */
const opposites: Record<string, readonly string[]> = {
  exec: ["noexec"],
  suid: ["nosuid"],
  dev: ["nodev"],
  async: ["sync"],
  diratime: ["nodiratime"],
  atime: ["noatime"],
  strictatime: ["noatime", "relatime"],
  nolazytime: ["lazytime"],
};

export function missingOptions(listed: readonly string[], wished: readonly string[]): string[] {
  return wished.filter((option) => {
    if (notOptions.test(option) || listed.includes(option)) return false;
    const against = opposites[option];
    return against === undefined || against.some((other) => listed.includes(other));
  });
}
