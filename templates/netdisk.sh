#!/bin/sh
# netdisk: what the disks of this host are doing, and what only a human may decide. Written by netdisk.
set -u

lib={{dir}}
helper={{helper}}

usage() {
  cat <<'END'
netdisk status [NAME] [--json]   every disk with a session: link, since when and why, what waits, what is not safe yet
netdisk resume NAME              dial the server now (after a full or failing disk there was cured)
netdisk fail NAME                pass the server's error replies up to the programs, instead of waiting
netdisk abort NAME               give the disk up: what the server does not have is lost
netdisk lease NAME               ask the server who holds the disk
netdisk takeover NAME            take the disk from whoever holds it; their unwritten data never reaches it
END
}

die() {
  echo "netdisk: $1" >&2
  exit 1
}

session() {
  [ -x "$lib/session@$1" ] || die "there is no disk $1 with a session on this host. netdisk status lists them."
  name=$1
  session=$lib/session@$1
}

names() {
  for script in "$lib"/session@*; do
    [ ! -x "$script" ] || echo "${script#*@}"
  done
}

# One line of JSON: what the plugin says, and what the host knows besides.
json_of() {
  name=$1
  line=$("$lib/session@$name" status) || line="{\"name\":\"$name\",\"state\":\"stopped\"}"
  node=$(readlink -e "/dev/netdisk/$name" || true)
  uuid=$(cryptsetup luksUUID "/var/lib/netdisk/headers/$name.luks" 2>/dev/null || true)
  where=$(findmnt -n -o TARGET --source "/dev/mapper/$name" 2>/dev/null | head -n 1 | sed 's/["\\]/\\&/g')
  given_up=$(cat "/var/lib/netdisk/given-up/$name" "/var/lib/netdisk/given-up/$name.told" 2>/dev/null | head -n 1 | sed 's/["\\]/\\&/g')
  echo "${line%\}},\"device\":\"$node\",\"luks_uuid\":\"$uuid\",\"mount\":\"$where\",\"given_up\":\"$given_up\"}"
}

# The value of a key in $line.
value() { printf '%s' "$line" | sed -n "s/.*[{,]\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p"; }

status() {
  json='' only=''
  for word in "$@"; do
    case $word in
      --json) json=1 ;;
      -*) usage >&2 && exit 2 ;;
      *) session "$word" && only=$word ;;
    esac
  done
  all=${only:-$(names)}
  if [ -n "$json" ]; then
    separator='['
    for name in $all; do
      printf '%s%s' "$separator" "$(json_of "$name")"
      separator=',
 '
    done
    [ "$separator" != '[' ] || printf '['
    echo ']'
    return
  fi
  form='%-16s %-10s %8s %8s %12s %10s %9s  %s\n'
  # shellcheck disable=SC2059  # a form of our own
  printf "$form" DISK STATE SINCE WAITING RETAINED SESSIONS OLDEST MOUNT
  for name in $all; do
    line=$(json_of "$name")
    # shellcheck disable=SC2059
    printf "$form" "$name" "$(value state)" "$(value since)" "$(value waiting)" "$(value retained)" "$(value sessions)" "$(value oldest)" "$(value mount)"
    case $(value state) in
      up | stopped) ;;
      *) echo "  $(value kind): $(printf '%s' "$line" | sed -n 's/.*"reason":"\([^"]*\)".*/\1/p')" ;;
    esac
    [ -z "$(value given_up)" ] || echo "  given up on $(printf '%s' "$line" | sed -n 's/.*"given_up":"\([^"]*\)".*/\1/p')"
  done
}

# A word to the plugin; its answer to the user.
tell() {
  answer=$("$helper" ask "/run/netdisk/$name/control.sock" "$1") || die "the plugin of $name does not run. systemctl start netdisk@$name.target starts it."
  echo "$answer" | sed -n 's/.*"message":"\([^"]*\)".*/\1/p'
  case $answer in '{"ok":true'*) ;; *) exit 1 ;; esac
}

verb=${1-}
[ $# = 0 ] || shift
case "$verb $#" in
  "status "*) status "$@" ;;
  "resume 1" | "fail 1") session "$1" && tell "$verb" ;;
  "abort 1") session "$1" && "$session" abort "by hand" ;;
  "lease 1") session "$1" && "$session" lease ;;
  "takeover 1") session "$1" && "$session" takeover && tell resume ;;
  "--help 0" | "help 0") usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
