# shellcheck shell=bash
# Power and reboot of one guest.

need_network() {
  if namespace_exists && [[ -d $RUN ]]; then return; fi
  die "the lab \"$LAB_NAME\" is not up" "Run \"lab/lab up\"."
}

verb_power() {
  local what=${1:-} host=${2:-}
  [[ $what == cut || $what == on ]] || usage_error "power: there is no \"$what\"" "Write \"power cut HOST\" or \"power on HOST\"."
  need_host "$host" "power $what"
  lock_part "$host"
  need_network
  if [[ $what == cut ]]; then
    need_running "$host"
    end_process "$host"
  else
    if ! guest_is_ready "$host"; then boot "$host"; fi
  fi
}

# Clean: the guest's own systemd stops everything. Done when a new boot answers, not when the old one is still saying goodbye.
verb_reboot() {
  local host=${1:-} before after start=$SECONDS
  need_host "$host" reboot
  lock_part "$host"
  need_running "$host"
  before=$(guest_ssh "$host" cat /proc/sys/kernel/random/boot_id) ||
    die "$host of the lab \"$LAB_NAME\" runs but can't be logged in to" "See \"lab/lab console $host\"; \"lab/lab power cut $host\" and \"power on\" start it anew."
  rm -f "$RUN/$host.ready"
  guest_ssh "$host" systemctl --no-block reboot || die "$host refuses to reboot (the reason is above)" "Mend it on the host: \"lab/lab ssh $host\"."
  while :; do
    alive "$host" || guest_failed "$host" "its kernel ended instead of rebooting"
    if guest_answers "$host" && after=$(guest_ssh "$host" cat /proc/sys/kernel/random/boot_id 2>/dev/null) && [[ $after != "$before" ]]; then break; fi
    ((SECONDS - start < BOOT_TIMEOUT)) || guest_failed "$host" "no new boot within $BOOT_TIMEOUT s of \"systemctl reboot\""
    sleep 0.1
  done
  guest_wait "$host"
}
