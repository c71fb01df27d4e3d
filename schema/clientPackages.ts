/** Debian packages that a client needs: to build nbd, to reach the server, to make and mount the disk. */
export const clientPackages: [string, ...string[]] = [
  // to build nbd from git
  "git",
  "ca-certificates",
  "make",
  "gcc",
  "libc6-dev",
  "autoconf",
  "automake",
  "libtool",
  "pkg-config",
  "autoconf-archive",
  "flex",
  "bison",
  "libglib2.0-dev",
  "libnl-genl-3-dev",
  // to reach the server
  "openssh-client",
  // to make a private disk of the device
  "kmod",
  "cryptsetup-bin",
  "xfsprogs",
  // chattr, for the mount point
  "e2fsprogs",
  "gpg",
  "gpg-agent",
];

/** What a client needs besides, to build and run netdisk's plugin for nbdkit (agent/). */
export const sessionPackages: [string, ...string[]] = [
  "nbdkit",
  "nbdkit-plugin-dev",
  "libnbd-dev",
  "libnl-genl-3-dev",
];
