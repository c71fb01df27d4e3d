#!/bin/sh
# The client's half from the tunnel to the mount. stdin: the recovery passphrase. Arguments: the server's address and
# host key, the UUIDs that the units expect. Run as root; may be run again. What is formatted was made by this recipe
# a minute ago: it does not look, as a recipe does not.
set -eu
exec 3<&0 </dev/null
address=$1 host_key=$2 luks_uuid=$3 fs_uuid=$4
device=/dev/netdisk/testdisk
key=/etc/netdisk/keys/testdisk.key
header=/var/lib/netdisk/headers/testdisk.luks
sealed=/var/lib/netdisk/recovery/testdisk.gpg

echo "$address $host_key" >/etc/netdisk/tunnel/testdisk.known_hosts
systemctl start netdisk-tunnel@testdisk.service netdisk-attach@testdisk.service

install -d -m 700 /var/lib/netdisk/headers /var/lib/netdisk/recovery
umask 077
[ -e $key ] || { head -c 64 /dev/urandom >$key && chmod 400 $key; }
if [ ! -e $header ]; then
  cryptsetup luksFormat -q --type luks2 --uuid "$luks_uuid" --offset 32768 --cipher aes-xts-plain64 --key-size 512 \
    --hash sha256 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 65536 --pbkdf-parallel 1 \
    --sector-size 4096 --key-file $key $device
  cryptsetup luksHeaderBackup --header-backup-file $header $device
fi
[ -e $sealed ] || tar -C / -czf - "${key#/}" "${header#/}" |
  gpg --batch --quiet --no-autostart --no-symkey-cache --pinentry-mode loopback --passphrase-fd 3 --symmetric --armor \
    --cipher-algo aes256 --digest-algo sha512 --s2k-mode 3 --s2k-digest-algo sha512 --s2k-count 65011712 \
    --compress-algo none --output $sealed
systemctl start netdisk-open@testdisk.service
blkid -p /dev/mapper/testdisk >/dev/null 2>&1 || mkfs.xfs -q -m "crc=1,finobt=1,uuid=$fs_uuid" /dev/mapper/testdisk
systemctl enable -q netdisk@testdisk.target
systemctl start netdisk@testdisk.target
mountpoint -q /mnt/disk
