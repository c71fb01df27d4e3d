# Each user of a mapping that somebody has suspended, or was killed over, waits for ever: umount, too. One that runs is left
# alone: a table that was loaded for it and given up would take the place of its own.
resume() {
  [ "$(dmsetup info -c --noheadings -o suspended "$name" 2>/dev/null)" = Suspended ] || return 0
  dmsetup resume "$name" && return
  echo "the mapping $name is suspended, and without its key, which cryptsetup luksSuspend wipes, it does not go on. pulumi up resumes it." >&2
  return 1
}
