said=
# One line in the journal per change of state, however long an outage lasts.
say() {
  [ "$1" = "$said" ] || echo "$1"
  said=$1
}

# Releases before 3.17, and those built without libnl, have only the ioctl way, and no option that asks for it.
knows_netlink() { grep -q nonetlink "$client"; }

# Prints the first nbd device that nobody uses. A dead one that is still held keeps its size, and is not free.
free_device() {
  for dir in /sys/block/nbd*; do
    if [ -e "$dir/size" ] && [ ! -e "$dir/pid" ] && [ "$(cat "$dir/size")" = 0 ]; then
      # A queue that somebody has told to write through remembers it for later connections (Linux 6.11 and newer), as if
      # their servers did not announce flush. Whether they do, the connection itself tells the kernel.
      { echo "write back" >"$dir/queue/write_cache"; } 2>/dev/null
      basename "$dir"
      return
    fi
  done
  return 1
}

# Says why there was none. Linux makes 16 of them, unless it is told otherwise when the module is loaded.
no_device() {
  set -- /sys/block/nbd*
  if [ -e "$1" ]; then
    echo "no free nbd device: all $# are in use; for more disks, have \`options nbd nbds_max=64\` in a file of your own in /etc/modprobe.d and reboot this client"
  else
    echo "there is no nbd device; load the module: modprobe nbd"
  fi
}

# Says why the device that is connected must not be used, or returns 0.
fits() {
  bytes=$(($(cat "/sys/block/$1/size") * 512))
  if [ "$(cat "/sys/block/$1/queue/write_cache")" != "write back" ]; then
    say "refused: the server's export $name does not announce flush, so that an fsync would mean nothing; waiting for one that does"
    return 1
  fi
  if [ "$bytes" != "$size" ]; then
    other="another disk; waiting for the right one"
    [ "$bytes" -lt "$size" ] || other="this disk, grown on the server, which \`pulumi up\` takes over, or another one; waiting"
    say "refused: the server's export $name has $bytes bytes, expected $size: $other"
    return 1
  fi
}

right_blocks() {
  [ "$(cat "/sys/block/$1/queue/logical_block_size")" = "$block_size" ] && return
  say "/dev/$1 has another block size than $block_size"
  return 1
}
