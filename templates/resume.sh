# Each user of a mapping that somebody has suspended, or was killed over, waits for ever: umount, too. One that runs is left alone.
resume() {
  dmsetup info "$name" >/dev/null 2>&1 || return 0
  dmsetup resume "$name" && return
  echo "the mapping $name is suspended, and without its key, which cryptsetup luksSuspend wipes, it does not go on. pulumi up resumes it." >&2
  return 1
}
