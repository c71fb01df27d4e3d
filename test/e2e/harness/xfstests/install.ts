/** xfstests on the client, built from whatever repository the person who runs it has; nothing of it is in netdisk's. */
import { sh } from "../../../../provider/host/sh";
import { install, on, tryOn } from "../lab";
import type { GroupLists } from "./groups";

export const checkout = "/root/xfstests";
/** The commit, written when the build is over. */
const builtNote = `${checkout}/.built`;

/** What it is built from, and what its tests call; a test whose program is missing says so and is skipped. */
const packages = [
  ...[
    "acl",
    "attr",
    "autoconf",
    "automake",
    "bc",
    "bsdextrautils",
    "dbench",
    "dmsetup",
    "e2fsprogs",
    "file",
    "fio",
  ],
  ...[
    "gawk",
    "gcc",
    "gettext",
    "git",
    "indent",
    "keyutils",
    "libacl1-dev",
    "libaio-dev",
    "libattr1-dev",
    "libc6-dev",
  ],
  ...[
    "libcap-dev",
    "libcap2-bin",
    "libgdbm-dev",
    "libssl-dev",
    "libtool",
    "libtool-bin",
    "liburing-dev",
    "lvm2",
  ],
  ...["make", "perl", "pkgconf", "psmisc", "python3-minimal", "quota", "thin-provisioning-tools", "uuid-dev"],
  ...["uuid-runtime", "xfsdump", "xfslibs-dev", "xfsprogs", "xz-utils"],
];

/** Whom some tests run programs as; the third one's name begins with a digit on purpose. */
const accounts = sh`set -e
for name in fsgqa fsgqa2 123456-fsgqa; do
  id "$name" >/dev/null 2>&1 || useradd --badname --user-group --create-home "$name"
done`;

/** Only the newest commit: of the history nothing is needed, and a guest is slow. */
const clone = (repository: string) =>
  sh`rm -rf ${checkout} && git clone --quiet --depth 1 -- ${repository} ${checkout}`;

const build = sh`cd ${checkout} && make >/root/xfstests.log 2>&1 || { tail -n 40 /root/xfstests.log; exit 1; }`;

/** Returns the commit. Does nothing where that is built already. */
export async function installXfstests(repository: string): Promise<string> {
  const listed = await on("client", sh`git ls-remote -- ${repository} HEAD`.text);
  const commit = listed.split("\t")[0] ?? "";
  if (!/^[0-9a-f]{40}$/.test(commit)) {
    throw new Error(
      `${repository} has no HEAD: ${listed}. Give a repository whose HEAD is what is to be built.`,
    );
  }
  const built = await tryOn("client", sh`cat ${builtNote}`.text);
  if (built.stdout.toString().trim() === commit) return commit;
  await install("client", ...packages);
  await on("client", accounts.text);
  await on("client", clone(repository).text);
  await on("client", build.text);
  await on("client", sh`echo ${commit} >${builtNote} && sync`.text);
  return commit;
}

/** The folders whose tests are for XFS. */
export async function groupLists(): Promise<GroupLists> {
  const of = (folder: string): Promise<string> =>
    on("client", sh`cat ${checkout}/tests/${folder}/group.list`.text);
  return { generic: await of("generic"), xfs: await of("xfs") };
}
