# shellcheck shell=bash
# Everything that two guests need, from nothing. Each piece is skipped when its product is there.

# The recipe as far as it can be read without asking apt (which takes half a second): what an idle "up" compares.
build_stamp() {
  { cat "$LAB_DIR"/lib/{settings,host-packages,kernel,keys,image,nbd-git}.sh "$LAB_DIR/lib/xstate.c"; find "$LAB_DIR/guest" -type f -print0 | sort -z | xargs -0 cat
    echo "$CACHE"; } | sha256sum | cut -c1-16
}

build_is_current() {
  [[ -f $CACHE/built && $(<"$CACHE/built") == "$(build_stamp)" && -x $KERNEL && -d $NBD_GIT && -f $KEYS/login ]] &&
    [[ -f $(<"$CACHE/image/current") ]] && command -v socat ip ssh git >/dev/null
}

build_all() {
  local start
  start=$(now)
  # in a subshell, so that the lock goes with it
  (
    lock "$CACHE/lock" "the cache $CACHE"
    host_packages
    find_archive
    printf '%s\n' "$ARCHIVE_URL" >"$CACHE/archive"
    keys_build
    kernel_build
    image_build
    nbd_git_build
    build_stamp >"$CACHE/built"
  )
  note "built in $(since "$start") s: $CACHE"
}

build_if_needed() { if ! build_is_current; then build_all; fi; }

verb_build() { build_all; }
