# shellcheck shell=bash
# The root file system that all guests of all labs share, read-only, below their overlays.
# A changed recipe makes a new file under a new name: overlays hold the path, size and mtime of the image they were made on.

IMAGE_PACKAGES=(systemd-sysv udev kmod dbus openssh-server iproute2 procps hostname ca-certificates iputils-ping netbase sudo)

# Whole subsystems that a throw-away host has no use for, and that cost seconds of its boot.
IMAGE_MASKED_UNITS=(getty.target getty@.service serial-getty@.service console-getty.service
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
  systemd-networkd-wait-online.service systemd-firstboot.service systemd-homed.service systemd-pcrphase.service
  systemd-hwdb-update.service systemd-journal-catalog-update.service systemd-update-done.service ldconfig.service
  sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount sshd-keygen.service)

# The recipe's fingerprint. Needs keys and kernel to be there.
image_key() {
  {
    cat "$LAB_DIR/lib/image.sh" "$KEYS"/*.pub
    (cd "$LAB_DIR/guest" && find . -type f -printf '%m %p\n' | sort && find . -type f -print0 | sort -z | xargs -0 cat)
    echo "$SUITE $ROOT_SIZE $ARCHIVE_URL $HOST_ADDRESS ${ADDRESS[*]}"
    kernel_version
  } | sha256sum | cut -c1-12
}

image_build() {
  local key image
  key=$(image_key)
  image=$CACHE/image/root-$key.ext4
  if [[ ! -f $image ]]; then
    mkdir -p "$CACHE/image"
    image_bootstrap
    note "making the root image"
    image_make "$image"
  fi
  printf '%s\n' "$image" >"$CACHE/image/current"
}

# Debian itself, as a tar that outlives changes to the rest of the recipe: it is what takes long.
IMAGE_TAR=   # set by image_bootstrap
image_bootstrap() {
  IMAGE_TAR=$CACHE/image/$SUITE-$(printf '%s\n' "$ARCHIVE_URL" "${IMAGE_PACKAGES[@]}" | sha256sum | cut -c1-12).tar
  [[ ! -f $IMAGE_TAR ]] || return 0
  note "bootstrapping Debian $SUITE (half a minute)"
  local packages
  packages=$(IFS=,; printf '%s' "${IMAGE_PACKAGES[*]}")
  run_logged "$CACHE/log/mmdebstrap.log" "bootstrapping Debian $SUITE from $ARCHIVE_URL" \
    mmdebstrap --variant=minbase --mode=root --skip=cleanup/reproducible --keyring="$ARCHIVE_KEYRING" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$packages" "$SUITE" "$IMAGE_TAR.new.tar" "$ARCHIVE_URL"
  mv "$IMAGE_TAR.new.tar" "$IMAGE_TAR"
}

image_make() {
  local image=$1 root=$CACHE/image/root.new unit archive version
  rm -rf "$root"
  mkdir "$root"
  tar -C "$root" --numeric-owner -xf "$IMAGE_TAR"

  version=$(kernel_version)
  mkdir -p "$root/usr/lib/modules"
  cp -a "$CACHE/kernel/modules/$version" "$root/usr/lib/modules/"
  depmod -b "$root" "$version"

  cp -R --no-preserve=ownership "$LAB_DIR/guest/." "$root/"
  chmod 440 "$root/etc/sudoers.d/operator"

  read -r archive _ <<<"$(archive_endpoint "$ARCHIVE_URL")"
  printf '%s\n' '127.0.0.1 localhost' '::1 localhost ip6-localhost ip6-loopback' "$HOST_ADDRESS host git.lab $archive" \
    "${ADDRESS[server]} server" "${ADDRESS[client]} client" >"$root/etc/hosts"
  printf '%s %s %s main\n' deb "$ARCHIVE_URL" "$SUITE" deb-src "$ARCHIVE_URL" "$SUITE" >"$root/etc/apt/sources.list"
  # systemd makes a new id at the first boot; from dbus's copy it would make the same one on every host
  : >"$root/etc/machine-id"
  ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
  rm -f "$root/etc/hostname"
  mkdir -p "$root/var/log/journal"

  # both host keys are in the shared image; each guest keeps its own and deletes both copies at its first boot
  rm -f "$root"/etc/ssh/ssh_host_*
  install -d -m 700 "$root/etc/lab/host-keys"
  cp "$KEYS"/host-server{,.pub} "$KEYS"/host-client{,.pub} "$root/etc/lab/host-keys/"
  image_user "$root" root /root
  chroot "$root" useradd --gid operator --create-home --shell /bin/bash --groups sudo operator
  image_user "$root" operator /home/operator

  mkdir -p "$root/etc/systemd/system/sysinit.target.wants"
  ln -sf ../lab-guest.service "$root/etc/systemd/system/sysinit.target.wants/"
  for unit in "${IMAGE_MASKED_UNITS[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done

  rm -f "$image.new"
  truncate -s "$ROOT_SIZE" "$image.new"
  run_logged "$CACHE/log/mkfs.log" "making the root file system" \
    mkfs.ext4 -q -F -d "$root" -L root -E lazy_itable_init=1,lazy_journal_init=1 "$image.new"
  chmod 444 "$image.new"
  mv "$image.new" "$image"
  rm -rf "$root"
}

# image_user ROOT USER HOME: lets the lab's login key in
image_user() {
  install -d -m 700 "$1$3/.ssh"
  cp "$KEYS/login.pub" "$1$3/.ssh/authorized_keys"
  chmod 600 "$1$3/.ssh/authorized_keys"
  chroot "$1" chown -R "$2:$2" "$3/.ssh"
}
