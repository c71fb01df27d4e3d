#!/bin/sh
# The server's half of the recipe, by hand: stdin is a tar of the files that netdisk writes there. Run as root; may be
# run again.
set -eu
export DEBIAN_FRONTEND=noninteractive
size=$1 key=$2
img=/var/lib/netdisk/testdisk.img

dpkg -s nbd-server iproute2 >/dev/null 2>&1 || {
  apt-get update -q
  apt-get install -y -q --no-install-recommends nbd-server iproute2
}

install -d -m 755 /var/lib/netdisk /var/lib/netdisk/tunnel
[ -e "$img" ] || fallocate -l "$size" "$img"
chown nbd "$img"
chmod 600 "$img"

# nbd-server reads its files at the start only: restarted when one of them is new.
before=$(cat /etc/nbd-server/config /etc/nbd-server/allow /etc/nbd-server/conf.d/testdisk.conf 2>/dev/null | sha256sum)
tar -C / --no-same-owner -xf -
after=$(cat /etc/nbd-server/config /etc/nbd-server/allow /etc/nbd-server/conf.d/testdisk.conf | sha256sum)
systemctl daemon-reload
systemctl enable -q nbd-server
if [ "$before" != "$after" ]; then systemctl restart nbd-server; else systemctl start nbd-server; fi

getent passwd netdisk >/dev/null ||
  useradd --system --user-group --home-dir /var/lib/netdisk/tunnel --no-create-home --shell /usr/sbin/nologin --password '*' netdisk
install -d -o root -g netdisk -m 750 /var/lib/netdisk/tunnel/.ssh
authorized=/var/lib/netdisk/tunnel/.ssh/authorized_keys
touch $authorized
chown root:netdisk $authorized
chmod 640 $authorized
line="restrict,port-forwarding,permitopen=\"127.0.0.1:10809\",permitlisten=\"127.0.0.1:1\" $key"
grep -qxF "$line" $authorized || echo "$line" >>$authorized
