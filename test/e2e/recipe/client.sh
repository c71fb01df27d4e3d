#!/bin/sh
# The article's commands on the client, by hand. What had to be changed to run them today is said where it is.
# Arguments: nbd's repository and its ref, the server's address. stdin: the passphrase for which gpg asks.
set -eux
repository=$1 ref=$2 server=$3
{ set +x; } 2>/dev/null
read -r passphrase
set -x
exec </dev/null
export DEBIAN_FRONTEND=noninteractive
# Without a terminal the passphrase has to come some other way.
gpg() {
  command gpg --batch --quiet --pinentry-mode loopback --passphrase-fd 3 "$@" 3<<TEXT
$passphrase
TEXT
}

# What is on every machine on which somebody builds programs, encrypts, and has XFS.
apt-get install -y -q --no-install-recommends git ca-certificates make gcc libc6-dev autoconf automake libtool pkg-config \
  autoconf-archive flex bison libnl-genl-3-dev openssl gpg gpg-agent cryptsetup-bin xfsprogs file kmod openssh-client
apt-get install -y -q libglib2.0-dev

cd /root
git clone -q "$repository" nbd-git && cd nbd-git
git checkout -q "$ref"
sed -r '/^make -C (man|systemd)/d' -i autogen.sh
sed '/man\/nbd/d;/systemd\//d' -i configure.ac
# The two alone leave make at exit status 2, and 3.26.1 does not even configure without docbook2man.
sed -r '/^SUBDIRS *=/s/ (man|systemd)\b//g' -i Makefile.am
sed "s/\[AC_MSG_ERROR(\[don't know what to do here\])\]/[enable_manpages=no]/" -i configure.ac

./autogen.sh
./configure --prefix=/opt/nbd --enable-syslog
make && make install
cd ..

modprobe nbd
# "An SSH tunnel of course", in whose command localhost would be ::1 on the server: the allow file has IPv4 only.
ssh -f -N -o ExitOnForwardFailure=yes -L 10809:127.0.0.1:10809 "$server" >/root/ssh.log 2>&1
/opt/nbd/sbin/nbd-client -name testdisk localhost 10809 /dev/nbd0 -timeout 30 -persist >/root/nbd-client.log 2>&1 &
for _ in $(seq 300); do
  [ "$(cat /sys/block/nbd0/size)" = 0 ] || break
  sleep 0.1
done

openssl rand 4096 | gpg --armor --symmetric --cipher-algo aes256 --digest-algo sha512 >testdisk-key.asc
# With --type: without it luksFormat makes LUKS2 today, and the article prints "ver 1".
gpg -d testdisk-key.asc | cryptsetup luksFormat --type luks1 --cipher twofish-cbc-essiv:sha256 \
  --hash sha256 --key-size 256 --iter-time=5000 /dev/nbd0
gpg -d testdisk-key.asc | cryptsetup open --type luks /dev/nbd0 testdisk
file -Ls /dev/nbd0 /dev/mapper/testdisk
cryptsetup status testdisk

mkfs.xfs -m crc=1,finobt=1 /dev/mapper/testdisk
mkdir /mnt/disk
mount -t xfs /dev/mapper/testdisk /mnt/disk/
df -h /mnt/disk
