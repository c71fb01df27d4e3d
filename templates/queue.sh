# Attributes of /dev/$1's queue in sysfs; one that this kernel lacks is skipped. For each that is written Linux waits until
# nothing is on the way, so that what is right is left alone. What cannot be set does not stand in the disk's way.
set_queue() {
  for setting in $queue; do
    attribute=/sys/block/$1/queue/${setting%%=*}
    [ ! -e "$attribute" ] || [ "$(cat "$attribute" 2>/dev/null)" = "${setting#*=}" ] ||
      echo "${setting#*=}" >"$attribute" || echo "the queue of /dev/$1 is not set: ${setting%%=*}"
  done
}
