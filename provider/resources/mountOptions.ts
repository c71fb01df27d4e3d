/** Whether the options that the kernel lists are those that are wished, no more and no less. Pure. */

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
  nodiscard: ["discard"],
  nogrpid: ["grpid"],
  sysvgroups: ["grpid"],
  nolargeio: ["largeio"],
};

/** Options of XFS that it lists under another name. */
const synonyms: Record<string, string> = {
  quota: "usrquota",
  uquota: "usrquota",
  gquota: "grpquota",
  pquota: "prjquota",
  qnoenforce: "uqnoenforce",
  bsdgroups: "grpid",
};

/** Sizes that XFS lists in KiB, however they were written. */
const size = /^(allocsize|logbsize)=([0-9]+)([kmg]?)$/i;
const units: Record<string, number> = { "": 1 / 1024, k: 1, m: 1024, g: 1024 * 1024 };

/** As the kernel lists it. */
function asListed(option: string): string {
  const [, name, number, unit] = size.exec(option) ?? [];
  if (name !== undefined) return `${name}=${Number(number) * (units[unit?.toLowerCase() ?? ""] ?? 1)}k`;
  return synonyms[option] ?? option;
}

/** What the kernel lists when all that is wished is in effect. */
export const listedFor = (wished: readonly string[]): string[] =>
  wished.filter((option) => !notOptions.test(option) && !(option in opposites)).map(asListed);

/** What takes something away from a mount, which the kernel lists only where somebody wanted it. */
const restrictions = [
  ...["ro", "nosuid", "nodev", "noexec", "sync", "dirsync"],
  ...["noatime", "nodiratime", "lazytime"],
];

/** What mount(8) adds to a word of its own. */
const implied: Record<string, readonly string[]> = {
  user: ["nosuid", "nodev", "noexec"],
  users: ["nosuid", "nodev", "noexec"],
  group: ["nosuid", "nodev"],
  owner: ["nosuid", "nodev"],
};

/** What the kernel must not list, because nobody wished it. */
export function unlistedFor(wished: readonly string[]): string[] {
  const granted = wished.flatMap((option) => [option, ...(implied[option] ?? [])]);
  return restrictions.filter((option) => !granted.includes(option));
}

/** The wishes that are not in effect, and what is although nobody wished it. */
export function differingOptions(listed: readonly string[], wished: readonly string[]): string[] {
  const now = listed.map(asListed);
  const overruled = wished.filter(
    (option) => !now.includes(option) && opposites[option]?.some((other) => now.includes(other)),
  );
  return [
    ...listedFor(wished).filter((option) => !now.includes(option)),
    ...overruled,
    ...unlistedFor(wished).filter((option) => now.includes(option)),
  ];
}
