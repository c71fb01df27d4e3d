# shellcheck shell=bash
# nbd as a git repository with its release tag, from Debian's source package: the client clones it as it would clone the real one.

NBD_GIT=$CACHE/git/nbd.git

nbd_git_build() {
  local work=$CACHE/git.new version upstream stamp
  [[ ! -d $NBD_GIT ]] || return 0
  note "making nbd.git from Debian's source package"
  archive_apt_update
  version=$(archive_apt apt-cache showsrc --only-source nbd | sed -n 's/^Version: //p' | sort -V | tail -n 1)
  [[ -n $version ]] || die "$ARCHIVE_URL lists no source package nbd in $SOURCE_SUITE" "Check that the archive carries sources (deb-src)."
  upstream=${version#*:}
  upstream=${upstream%%-*}
  rm -rf "$work"
  mkdir -p "$work/source" "$work/tree"
  (cd "$work/source" && run_logged "$CACHE/log/nbd-source.log" "downloading the source of nbd $version" \
    archive_apt apt-get source -q --download-only "nbd=$version")
  tar -C "$work/tree" --strip-components=1 -xf "$(find "$work/source" -name "nbd_$upstream.orig.tar.*" ! -name '*.asc')"
  # the newest file's date: the same source gives the same commit on every machine
  stamp=$(find "$work/tree" -type f -printf '%Ts\n' | sort -n | tail -n 1)
  git -C "$work/tree" -c init.defaultBranch=master init -q
  git -C "$work/tree" add -A -f .
  GIT_AUTHOR_DATE="$stamp +0000" GIT_COMMITTER_DATE="$stamp +0000" \
    git -C "$work/tree" -c user.name=lab -c user.email=lab@localhost -c commit.gpgsign=false commit -q -m "nbd $upstream (Debian's orig tarball)"
  git -C "$work/tree" tag "nbd-$upstream"
  git clone -q --bare "$work/tree" "$work/nbd.git"
  mkdir -p "$(dirname "$NBD_GIT")"
  mv "$work/nbd.git" "$NBD_GIT"
  rm -rf "$work"
}
