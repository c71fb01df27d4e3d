#!/bin/sh
# The client's half up to the tunnel's key, which is the last line of stdout. stdin: a tar of the files that netdisk
# writes there. Arguments: nbd's repository and ref, then Debian packages. Run as root; may be run again.
set -eu
export DEBIAN_FRONTEND=noninteractive
repository=$1 ref=$2
shift 2

dpkg -s "$@" >/dev/null 2>&1 || {
  apt-get update -q
  apt-get install -y -q --no-install-recommends "$@"
} >&2

if [ ! -x /opt/nbd/sbin/nbd-client ]; then
  rm -rf /usr/local/src/nbd
  git clone -q "$repository" /usr/local/src/nbd
  cd /usr/local/src/nbd
  git checkout -q "$ref"
  sed -r -i '/^make -C (man|systemd)/d' autogen.sh
  sed -r -i '/^SUBDIRS *=/s/ (man|doc|systemd|tests)\b//g' Makefile.am
  sed -r -i "/^[[:space:]]*(man|systemd|doc|tests)\/[^[:space:]()]*[[:space:]]*\\\\?$/d; s/\[AC_MSG_ERROR\(\[don't know what to do here\]\)\]/[enable_manpages=no]/" configure.ac
  {
    ./autogen.sh
    ./configure --prefix=/opt/nbd --enable-syslog
    make -j "$(nproc)"
    make install
  } >&2
fi

tar -C / --no-same-owner -xf -
udevadm control --reload
modprobe nbd
systemctl daemon-reload

install -d -m 700 /etc/netdisk /etc/netdisk/tunnel /etc/netdisk/keys
key=/etc/netdisk/tunnel/testdisk.ed25519
[ -e $key ] || ssh-keygen -q -t ed25519 -N '' -C netdisk@testdisk -f $key
ssh-keygen -y -f $key | cut -d' ' -f1,2
