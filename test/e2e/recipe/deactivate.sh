#!/bin/sh
# "Deactivate with:"
set -eux
umount /mnt/disk
cryptsetup close testdisk
# Not pkill: where it is built with libnl, nbd-client hands the connection to the kernel and has ended long since.
/opt/nbd/sbin/nbd-client -d /dev/nbd0
