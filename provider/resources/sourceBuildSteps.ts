/**
 * The steps that build nbd. All work is done in the build directory; the last step puts the finished tree in place
 * by a rename, so that the prefix never holds half an installation. A finished build stays in the stage: when
 * only the installation is damaged, each step finds that and does nothing.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { sourceBuild } from "../../schema/client";
import type { Inputs } from "../../schema/define";
import { buildDir, nbdManifest, nbdSource, nbdStage } from "../../schema/paths";
import { type Command, sh } from "../host/sh";
import type { RunStep } from "../resource";

type Wish = Inputs<typeof sourceBuild>;

const minutes = 60_000;

/** What a build is made of; a different one is another build. */
const keyOf = ({ repository, ref, configure, prefix }: Wish): string =>
  createHash("sha256")
    .update(JSON.stringify([repository, ref, configure, prefix]))
    .digest("hex");

/** True where the stage holds this very build, whole: the key is written last. */
const isBuilt = (wish: Wish): Command =>
  sh`[ "$(cat ${nbdStage}/key 2>/dev/null)" = ${keyOf(wish)} ] && (cd ${nbdStage} && sha256sum --quiet --check sums)`;

const stepOf = (wish: Wish, title: string, timeoutMs: number, command: Command): RunStep => ({
  do: "run",
  title,
  command: sh`if ${isBuilt(wish)}; then exit 0; fi
set -e
${command}`,
  timeoutMs,
});

/** A branch is what the repository says now; a tag or a full commit that is here already needs no network. */
const checkout = ({ repository, ref }: Wish): Command => {
  const fixed = /^[0-9a-f]{40}$/.test(ref) ? ref : `refs/tags/${ref}`;
  return sh`export GIT_TERMINAL_PROMPT=0
mkdir -p ${buildDir}
if [ "$(git -C ${nbdSource} config remote.origin.url 2>/dev/null)" != ${repository} ] || ! git -C ${nbdSource} rev-parse --quiet --verify HEAD >/dev/null; then
  rm -rf ${nbdSource}
  git clone --quiet -- ${repository} ${nbdSource}
fi
cd ${nbdSource}
resolve() { git rev-parse --quiet --verify "$1^{commit}"; }
if ! commit=$(resolve ${fixed}); then
  git fetch --quiet --tags --prune origin
  if ! commit=$(resolve ${fixed} || resolve ${`refs/remotes/origin/${ref}`} || resolve ${ref}); then
    echo "${repository} has no tag, branch or commit ${ref}" >&2
    exit 1
  fi
fi
git checkout --quiet --force --detach "$commit"
git clean -qffdx
git log --oneline -1`;
};

/**
 * The article's two seds, and what they leave out: Makefile.am goes into man and systemd all the same, and
 * configure.ac of 3.26.1 ends with an error wherever there is no docbook2man, whatever it is told.
 */
const strip = sh`cd ${nbdSource}
sed -r -i '/^make -C (man|systemd)/d' autogen.sh
sed -r -i '/^SUBDIRS *=/s/ (man|doc|systemd|tests)\\b//g' Makefile.am
sed -r -i "/^[[:space:]]*(man|systemd|doc|tests)\\/[^[:space:]()]*[[:space:]]*\\\\\\\\?$/d; s/\\[AC_MSG_ERROR\\(\\[don't know what to do here\\]\\)\\]/[enable_manpages=no]/" configure.ac
git diff --stat`;

const stage = (wish: Wish): Command => {
  const root = `${nbdStage}${wish.prefix}`;
  const { repository, ref, configure } = wish;
  const head = JSON.stringify({ repository, ref, configure }).slice(0, -1);
  return sh`rm -rf ${nbdStage}
make -C ${nbdSource} install DESTDIR=${nbdStage}
cd ${root}
programs=$(find bin sbin -type f | sort)
commit=$(git -C ${nbdSource} rev-parse HEAD)
digests=$(sha256sum $programs | sed -r 's/^([0-9a-f]{64})  (.*)$/"\\2":"\\1"/' | paste -s -d ,)
printf '%s,"commit":"%s","programs":{%s}}\\n' ${head} "$commit" "$digests" >${nbdManifest(root)}
cd ${nbdStage}
(cd ${root} && sha256sum $programs .netdisk.json) | sed "s|  |  ."${wish.prefix}"/|" >sums
sync
echo ${keyOf(wish)} >key.new
mv key.new key`;
};

/** Autoremove must not take a library away that nothing but our program needs. */
const keepLibraries = (prefix: string): Command =>
  sh`libraries=$(ldd ${nbdStage}${prefix}/sbin/nbd-client) || exit 1
files=$(echo "$libraries" | sed -n 's|.* => \\(/[^ ]*\\) (.*|\\1|p')
[ -n "$files" ] || { echo "ldd names no library of nbd-client: $libraries" >&2; exit 1; }
echo "$files" | while read -r file; do dpkg -S "*/\${file##*/}"; done | sed 's/: .*//; s/, /\\n/g' | sort -u | xargs -r apt-mark manual`;

/** Programs that run keep their old file; the next start has the new one. */
const putInPlace = (prefix: string): Command => sh`set -e
mkdir -p ${dirname(prefix)}
rm -rf ${`${prefix}.netdisk-new`} ${`${prefix}.netdisk-old`}
cp -a ${nbdStage}${prefix} ${`${prefix}.netdisk-new`}
sync
if [ -e ${prefix} ]; then mv -T ${prefix} ${`${prefix}.netdisk-old`}; fi
mv -T ${`${prefix}.netdisk-new`} ${prefix}
rm -rf ${`${prefix}.netdisk-old`}`;

export function buildSteps(wish: Wish): RunStep[] {
  const { repository, ref, prefix, configure } = wish;
  const step = (title: string, limit: number, command: Command): RunStep =>
    stepOf(wish, title, limit * minutes, command);
  return [
    step(`git clone ${repository}, checkout ${ref}`, 15, checkout(wish)),
    step("sed: leave the documentation out", 1, strip),
    step("./autogen.sh", 10, sh`cd ${nbdSource}; ./autogen.sh`),
    step(
      `./configure --prefix=${prefix} ${configure.join(" ")}`,
      15,
      sh`cd ${nbdSource}; ./configure ${`--prefix=${prefix}`} ${configure}`,
    ),
    step("make", 30, sh`make -C ${nbdSource} -j "$(nproc)"`),
    step("make install", 5, stage(wish)),
    {
      do: "run",
      title: "apt-mark manual: the libraries of nbd-client",
      command: keepLibraries(prefix),
      timeoutMs: 5 * minutes,
      lock: "apt",
    },
    { do: "run", title: `put the new nbd in place: ${prefix}`, command: putInPlace(prefix) },
  ];
}

export const forgetBuild: RunStep = {
  do: "run",
  title: "forget the last build",
  command: sh`rm -rf ${nbdStage}`,
};

/** Only what the build brought; a directory goes when it is empty then. */
export function removalSteps(prefix: string, programs: string[]): RunStep[] {
  const files = [...programs, ".netdisk.json"].map((path) => `${prefix}/${path}`);
  return [
    {
      do: "run",
      title: `remove ${prefix} and the build`,
      command: sh`rm -f ${files} && rm -rf ${nbdSource} ${nbdStage} && if test -d ${prefix}; then find ${prefix} -depth -type d -empty -delete; fi`,
    },
  ];
}
