# Attributes of /dev/$1's queue in sysfs; one that this kernel lacks stands for what it has not got. For each that it writes
# Linux waits until nothing is on the way, so that what is right is left alone.
set_queue() {
  for setting in $queue; do
    attribute=/sys/block/$1/queue/${setting%%=*}
    [ ! -e "$attribute" ] || [ "$(cat "$attribute" 2>/dev/null)" = "${setting#*=}" ] ||
      echo "${setting#*=}" >"$attribute"
  done
}
