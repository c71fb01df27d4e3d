# What is chosen in an attribute of several choices, `none [mq-deadline] kyber`; else all that it says.
chosen() { sed 's/.*\[\(.*\)\].*/\1/' "$1" 2>/dev/null; }

# Attributes of /dev/$1's queue in sysfs; one that this kernel lacks is skipped. For each that is written Linux waits until
# nothing is on the way, so that what is right is left alone. Fails where there is no such device, and where an attribute cannot
# be set, after all the others.
set_queue() {
  [ -d "/sys/block/$1/queue" ] || { echo "there is no device /dev/$1" >&2; return 1; }
  refused=
  for setting in $queue; do
    attribute=/sys/block/$1/queue/${setting%%=*}
    [ ! -e "$attribute" ] || [ "$(chosen "$attribute")" = "${setting#*=}" ] || echo "${setting#*=}" >"$attribute" ||
      refused="$refused $setting"
  done
  [ -z "$refused" ] || { echo "the queue of /dev/$1 is not set:$refused" >&2; return 1; }
}
