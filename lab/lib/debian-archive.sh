# shellcheck shell=bash
# The Debian archive that this machine's own apt uses. The guests get the same one, and no address of it is written down here.

ARCHIVE_URL=   # set by find_archive
ARCHIVE_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

find_archive() {
  # the main archive is the one with a dists/SUITE for a plain release; -security and -updates are not it
  # shellcheck disable=SC2016  # apt-get fills these in, not the shell
  ARCHIVE_URL=$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "Debian" && $3 == "Debian" && $4 == "main" { print $1; exit }')
  [[ -n $ARCHIVE_URL ]] || die "\"apt-get indextargets\" on this machine names no Debian archive" \
    "Add Debian's main archive to /etc/apt, run \"apt-get update\", then the same lab command again."
  [[ $ARCHIVE_URL =~ ^https?://[^/]+ ]] || die "this machine's Debian archive is $ARCHIVE_URL; the lab can relay http and https only" \
    "Put an http or https archive into /etc/apt."
}

# archive_endpoint URL: "NAME PORT"
archive_endpoint() {
  local rest=${1#*://} scheme=${1%%://*} site port
  site=${rest%%/*}
  site=${site##*@}
  if [[ $site == *:* ]]; then port=${site##*:}; elif [[ $scheme == https ]]; then port=443; else port=80; fi
  printf '%s %s' "${site%%:*}" "$port"
}

# The kernel's and nbd's packages come from suites that are not this machine's: apt with directories of its own.
# This machine's /etc/apt stays as it is.
archive_apt_setup() {
  local dir=$CACHE/apt
  mkdir -p "$dir/lists/partial" "$dir/archives/partial"
  : >"$dir/status"
  printf '%s [signed-by=%s] %s %s main\n' deb "$ARCHIVE_KEYRING" "$ARCHIVE_URL" "$KERNEL_SUITE" \
    deb-src "$ARCHIVE_KEYRING" "$ARCHIVE_URL" "$SOURCE_SUITE" >"$dir/sources.list"
  cat >"$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir";
APT::Sandbox::User "root";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Languages "none";
CONF
}

archive_apt() { APT_CONFIG=$CACHE/apt/apt.conf "$@"; }

# Fresh lists, once per run of the lab: the archive drops old versions.
ARCHIVE_UPDATED=
archive_apt_update() {
  [[ -z $ARCHIVE_UPDATED ]] || return 0
  archive_apt_setup
  run_logged "$CACHE/log/archive-update.log" "reading the package lists of $KERNEL_SUITE and $SOURCE_SUITE from $ARCHIVE_URL" archive_apt apt-get update -q
  ARCHIVE_UPDATED=yes
}
