/**
 * The steps that build nbd. All work is done in the build directory; the last step puts the finished tree in place
 * by a rename, so that the prefix never holds half an installation. A finished build stays in the stage, over a
 * destroy too: when the very same is wanted again, each step finds it there and does nothing.
 *
 * Two stacks that share a client want the very same (provider/claims.ts), and may build it at once: a step that the other
 * one has done is not done again, and nobody begins anew while the other one is between two steps.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { sourceBuild } from "../../schema/client";
import type { Inputs } from "../../schema/define";
import {
  buildDir,
  nbdDone,
  nbdManifest,
  nbdSource,
  nbdStage,
  nbdTagNote,
  nbdWanted,
} from "../../schema/paths";
import { type Command, sh } from "../host/sh";
import type { RunStep } from "../resource";

type Wish = Inputs<typeof sourceBuild>;

const minutes = 60_000;

const digestOf = (...parts: unknown[]): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex");

/** Where `make install DESTDIR=` has put the prefix. */
const stagedPrefix = (prefix: string): string => `${nbdStage}${prefix}`;

/** Where the stage says what it holds, and the digests of the programs in it. */
const stageKey = `${nbdStage}/key`;
const stageSums = `${nbdStage}/sums`;

/** True where the stage holds the wanted build, whole: its key is written last. */
const isBuilt = ({ prefix }: Wish): Command =>
  sh`cmp -s ${stageKey} ${nbdWanted} && (cd ${stagedPrefix(prefix)} && sha256sum --quiet --check ${stageSums})`;

/** The same file while a step is at work. Left by one that was ended half-way: what that left is not gone on with. */
const nbdBusy = `${nbdDone}.busy`;

/**
 * Shell function `going_on`, whether what is wanted is under way, and no step on it was ended. Not over a power cut, after
 * which files that were just written may be empty.
 */
const goingOn = sh`wanted() { echo "$(cat ${nbdWanted}) $(cat /proc/sys/kernel/random/boot_id)"; }
going_on() { [ "$(head -n 1 ${nbdDone} 2>/dev/null)" = "$(wanted)" ]; }`;

const stepOf = (wish: Wish, title: string, timeoutMs: number, command: Command): RunStep => ({
  do: "run",
  title,
  command: sh`if ${isBuilt(wish)}; then exit 0; fi
set -e
${goingOn}
going_on || { echo ${nbdSource}" has changed under our hands, or a step of another run on it was ended. Run \\\`pulumi up\\\` again." >&2; exit 1; }
if grep -qxF -- ${title} ${nbdDone}; then exit 0; fi
mv ${nbdDone} ${nbdBusy}
${command}
echo ${title} >>${nbdBusy}
mv ${nbdBusy} ${nbdDone}`,
  timeoutMs,
});

const isFullCommit = (ref: string): boolean => /^[0-9a-f]{40}$/.test(ref);

/**
 * Finds the commit, notes what is wanted, and has its source ready unless that is built already. The same source
 * configured in the same way is one build, whatever it was called when it was asked for.
 *
 * @param pinned What the ref meant when it was built; it means that for as long as the ref is not changed, without
 *   a question to anybody.
 */
const checkout = (wish: Wish, pinned: string | undefined): Command => {
  const { repository, ref, configure, prefix } = wish;
  const note = nbdTagNote(digestOf(repository, ref).slice(0, 16));
  return sh`set -e
export GIT_TERMINAL_PROMPT=0
mkdir -p ${buildDir}
want() { echo "$1 "${digestOf(configure, prefix)} >${nbdWanted}; }
resolve() { git -C ${nbdSource} rev-parse --quiet --verify "$1^{commit}"; }
before=${pinned ?? ""}
[ -n "$before" ] || before=$(cat ${note} 2>/dev/null) || true
tagged() {
  if [ -n "$before" ] && [ "$before" != "$1" ]; then
    echo "the tag "${ref}" of "${repository}" was commit $before and is $1 now: somebody moved it. Say which of the two you want: \\\`ref: $before\\\` is what you had, \\\`ref: $1\\\` is the new one." >&2
    exit 1
  fi
  echo "$1" >${note}
}
commit=${pinned ?? (isFullCommit(ref) ? ref : "")}
if [ -z "$commit" ]; then
  listed=$(git ls-remote -- ${repository} ${`refs/tags/${ref}`} ${`refs/tags/${ref}^{}`} ${`refs/heads/${ref}`})
  commit=$(echo "$listed" | sed -n 's|\\trefs/tags/.*||p' | tail -n 1)
  if [ -n "$commit" ]; then tagged "$commit"; else commit=$(echo "$listed" | sed -n 's|\\trefs/heads/.*||p'); fi
fi
if [ -n "$commit" ]; then
  want "$commit"
  if ${isBuilt(wish)}; then exit 0; fi
fi
if [ "$(git -C ${nbdSource} config remote.origin.url 2>/dev/null)" != ${repository} ] || ! resolve HEAD >/dev/null; then
  rm -rf ${nbdSource}
  git clone --quiet -- ${repository} ${nbdSource}
fi
if [ -z "$commit" ] || ! resolve "$commit" >/dev/null; then
  git -C ${nbdSource} fetch --quiet --force --tags --prune origin
fi
if [ -n "$commit" ]; then
  resolve "$commit" >/dev/null || git -C ${nbdSource} fetch --quiet origin "$commit"
elif ! commit=$(resolve ${ref}); then
  echo ${repository}" has no tag, branch or commit "${ref}". Correct the ref; \\\`git ls-remote "${repository}"\\\` lists what there is." >&2
  exit 1
fi
${pinned === undefined ? sh`` : sh`if tag=$(resolve ${`refs/tags/${ref}`}); then tagged "$tag"; fi`}
want "$commit"
${goingOn}
if going_on; then exit 0; fi
cd ${nbdSource}
rm -f ${[nbdDone, nbdBusy]}
git checkout --quiet --force --detach "$commit"
git clean -qffdx
wanted >${nbdDone}
git log --oneline -1`;
};

/**
 * The article's two seds, and what they leave out: Makefile.am goes into man and systemd all the same, and
 * configure.ac of 3.26.1 ends with an error wherever there is no docbook2man, whatever it is told. 3.16.2 does not tell
 * its client what it is called, where there is no GnuTLS.
 */
const strip = sh`cd ${nbdSource}
sed -r -i '/^make -C (man|systemd)/d' autogen.sh
sed -r -i '/^SUBDIRS *=/s/ (man|doc|systemd|tests)\\b//g' Makefile.am
sed -r -i "/^nbd_client_CFLAGS = [$]\\(client_flags\\)$/s/$/ -DNOTLS -DPROG_NAME='\\"nbd-client\\"'/" Makefile.am
sed -r -i "/^[[:space:]]*(man|systemd|doc|tests)\\/[^[:space:]()]*[[:space:]]*\\\\\\\\?$/d; s/\\[AC_MSG_ERROR\\(\\[don't know what to do here\\]\\)\\]/[enable_manpages=no]/" configure.ac
git diff --stat`;

/** From then on the stage says that all is done; whoever builds the same once more begins anew. */
const stage = ({ prefix }: Wish): Command => sh`rm -rf ${nbdStage}
make -C ${nbdSource} install DESTDIR=${nbdStage}
cd ${stagedPrefix(prefix)}
sha256sum $(find bin sbin -type f | sort) >${stageSums}
cp ${nbdWanted} ${nbdStage}/key.new
sync
mv ${nbdStage}/key.new ${stageKey}
rm ${nbdBusy}
exit 0`;

/** Autoremove must not take a library away that nothing but our program needs. */
const keepLibraries = (prefix: string): Command =>
  sh`libraries=$(ldd ${nbdStage}${prefix}/sbin/nbd-client) || exit 1
files=$(echo "$libraries" | sed -n 's|.* => \\(/[^ ]*\\) (.*|\\1|p')
[ -n "$files" ] || { echo "ldd names no library of nbd-client: $libraries" >&2; exit 1; }
echo "$files" | sed 's|.*/|*/|' | xargs dpkg -S | sed 's/: .*//; s/, /\\n/g' | sort -u | xargs -r apt-mark manual`;

/** Programs that run keep their old file; the next start has the new one. */
const putInPlace = (wish: Wish): Command => {
  const { repository, ref, configure, prefix } = wish;
  const fresh = `${prefix}.netdisk-new`;
  const old = `${prefix}.netdisk-old`;
  const head = JSON.stringify({ repository, ref, configure }).slice(0, -1);
  return sh`set -e
${isBuilt(wish)} || { echo ${nbdStage}" has changed under our hands. Run \\\`pulumi up\\\` again." >&2; exit 1; }
mkdir -p ${dirname(prefix)}
rm -rf ${fresh} ${old}
cp -a ${stagedPrefix(prefix)} ${fresh}
read -r commit _ <${stageKey}
digests=$(sed -r 's/^([0-9a-f]{64})  (.*)$/"\\2":"\\1"/' ${stageSums} | paste -s -d ,)
printf '%s,"commit":"%s","programs":{%s}}\\n' ${head} "$commit" "$digests" >${nbdManifest(fresh)}
sync
if [ -e ${prefix} ]; then mv -T ${prefix} ${old}; fi
mv -T ${fresh} ${prefix}
rm -rf ${old}`;
};

/** @param pinned The commit that the wish's ref was resolved to before, where there is one. */
export function buildSteps(wish: Wish, pinned?: string): RunStep[] {
  const { repository, ref, prefix, configure } = wish;
  const step = (title: string, limit: number, command: Command): RunStep =>
    stepOf(wish, title, limit * minutes, command);
  return [
    {
      do: "run",
      title: `git clone ${repository}, checkout ${ref}`,
      command: checkout(wish, pinned),
      timeoutMs: 15 * minutes,
    },
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
    { do: "run", title: `put the new nbd in place: ${prefix}`, command: putInPlace(wish) },
  ];
}

/** Only what is in place, which does not run: another stack may just have built it anew. */
export const forgetBuild = (prefix: string): RunStep => {
  const program = `${prefix}/sbin/nbd-client`;
  return {
    do: "run",
    title: "forget the last build",
    command: sh`if cmp -s ${program} ${stagedPrefix(program)}; then rm -rf ${nbdStage}; fi`,
  };
};

/**
 * Only what the build brought; a directory goes when it is empty then. The finished build stays in the stage, as a
 * disk's data stay: an `up` after a destroy need not build again.
 */
export function removalSteps(prefix: string, programs: string[]): RunStep[] {
  const files = [...programs, ".netdisk.json"].map((path) => `${prefix}/${path}`);
  return [
    {
      do: "run",
      title: `remove ${prefix} and the source`,
      command: sh`rm -f ${files} && rm -rf ${nbdSource} && if test -d ${prefix}; then find ${prefix} -depth -type d -empty -delete; fi`,
    },
  ];
}
