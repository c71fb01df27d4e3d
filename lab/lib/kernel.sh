# shellcheck shell=bash
# The guests' kernel: Debian's user-mode-linux. It needs a newer libc than Debian 12 has, so that libc lies beside it.

KERNEL=$CACHE/kernel/linux
# Empty: the kernel needs none.
KERNEL_PRELOAD=
[[ $KERNEL_SUITE == sid ]] || KERNEL_PRELOAD=$CACHE/kernel/xstate.so

kernel_build() {
  local dir=$CACHE/kernel new
  if [[ ! -f $dir/linux.pristine ]]; then
    note "fetching the guests' kernel"
    archive_apt_update
    new=$CACHE/kernel.new
    rm -rf "$new"
    mkdir -p "$new/deb"
    (cd "$new/deb" && run_logged "$CACHE/log/kernel-download.log" "downloading user-mode-linux and libc6 from $KERNEL_SUITE" \
      archive_apt apt-get download -q user-mode-linux libc6)
    dpkg-deb -x "$new"/deb/user-mode-linux_*.deb "$new/uml"
    dpkg-deb -x "$new"/deb/libc6_*.deb "$new/libc"
    mv "$(find "$new/uml" -type d -path '*uml/modules')" "$new/modules"
    mv "$new/uml/usr/bin/linux.uml" "$new/linux.pristine"
    rm -rf "$new/uml" "$new/deb" "$dir"
    mv "$new" "$dir"
  fi
  kernel_patch
  [[ -z $KERNEL_PRELOAD ]] || gcc -O2 -shared -fPIC "$LAB_DIR/lib/xstate.c" -o "$KERNEL_PRELOAD"
}

# The path of the libc is absolute in the binary: a cache that was moved or copied needs a new one.
kernel_patch() {
  local dir=$CACHE/kernel interpreter
  interpreter=$(find "$dir/libc" -name ld-linux-x86-64.so.2 | head -n 1)
  [[ -x $KERNEL && $(patchelf --print-interpreter "$KERNEL") == "$interpreter" ]] && return
  cp "$dir/linux.pristine" "$KERNEL.new"
  patchelf --set-interpreter "$interpreter" \
    --set-rpath "$(dirname "$(find "$dir/libc" -name libc.so.6 | head -n 1)")" "$KERNEL.new"
  chmod 755 "$KERNEL.new"
  mv "$KERNEL.new" "$KERNEL"
}

kernel_version() { ls "$CACHE/kernel/modules"; }
