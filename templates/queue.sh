# Attributes of /dev/$1's queue in sysfs; one that this kernel lacks stands for what it has not got.
set_queue() {
  for setting in $queue; do
    attribute=/sys/block/$1/queue/${setting%%=*}
    [ ! -e "$attribute" ] || echo "${setting#*=}" >"$attribute"
  done
}
