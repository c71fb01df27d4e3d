#!/bin/sh
# The article's commands on the server, by hand. What had to be changed to run them today is said where it is.
# Arguments: the file's size in MiB, and the public key of the client's login, of which the article does not speak.
set -eux
exec </dev/null
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q nbd-server

cd /etc/nbd-server/
cat >config <<'TEXT'
[generic]
	user = nbd
	group = nbd
	listenaddr = localhost
	allowlist = true
	includedir = /etc/nbd-server/conf.d
TEXT
# The loop device of the article's author was his second one.
cat >conf.d/local.conf <<'TEXT'
[testdisk]
	exportname = /dev/loop0
	flush = true
	readonly = false
	authfile = /etc/nbd-server/allow
TEXT
echo 127.0.0.1/32 >allow

# Without pv, which only shows how far it is.
dd if=/dev/zero bs=1M count="$1" | dd of=/var/tmp/test.img
losetup -f /var/tmp/test.img
# Today's nbd-server runs as nbd before it opens what it serves, and Debian's nbd is not in the group disk.
chown nbd /dev/loop0

# "With that, our nbd-server can be started."
systemctl restart nbd-server
ss -4lnp | grep nbd

mkdir -p /root/.ssh
chmod 700 /root/.ssh
echo "$2" >>/root/.ssh/authorized_keys
