# Which file is the disk's says $made, `INODE BIRTH`; BIRTH is 0 where the file system knows none. Another one, an older copy
# perhaps, lies at the disk's path for as long as a file system is not mounted there. True where $1, as `stat -c '%i %W'`
# has it, is the disk's; else $which says of both what they are.
own_file() {
  noted=$(cat "$made" 2>/dev/null) || noted=
  if [ "${1% *}" = "${noted% *}" ]; then
    case " ${1#* } ${noted#* } " in " 0 "* | *" 0 " | " ${1#* } ${1#* } ") return 0 ;; esac
  fi
  which="$(in_words "$1"); noted is $(in_words "$noted")"
  return 1
}

in_words() {
  case $1 in
    "") echo nothing ;;
    *" 0") echo "inode ${1% *}" ;;
    *) echo "inode ${1% *} of $(date -u -d "@${1#* }" +%Y-%m-%dT%H:%M:%SZ)" ;;
  esac
}
