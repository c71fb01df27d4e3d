/**
 * How netdisk itself takes a disk down: from the top, and only when nobody uses it (docs/units.md, "Taken down by
 * Pulumi"). A unit's stop may tear a disk off, because a shutdown must end; a run of Pulumi has no such need.
 */
import {
  attachedDevice,
  attachUnit,
  diskTarget,
  mappedDevice,
  mountUnit,
  openUnit,
  passphraseId,
  sessionAttached,
  sessionScript,
  sessionUnit,
} from "../../schema/paths";
import { deviceUsers, inUse } from "../facts/deviceUsers";
import { attachedBy } from "../facts/session";
import { questions } from "../facts/passwordQuestion";
import { Command, sh } from "../host/sh";
import type { Secret } from "../../schema/secret";
import type { RunStep } from "../resource";
import { part } from "../template";
import { givingPassphrase } from "./unlock";
import { writtenOut } from "./writtenOut";

/**
 * Unmounts and closes a disk that has its server, or says who uses it or what its server does not take, leaves it as it
 * was and ends the command with the status `inUse`. Leaves the units that were active in `$was`, for `systemctl start`. A
 * disk that is dead or not attached is left to its units.
 */
export const takeDown = (name: string): Command => sh`# take the disk ${name} down, unless it is in use
session=${sessionScript(name)} attach=${attachUnit(name)} mount=${mountUnit(name)} open=${openUnit(name)}
# The chain may be coming up by itself at this moment, because the run has just mended what was below; but a disk that
# waits for its passphrase goes no further.
question() { ${questions(passphraseId(name))}; }
at_rest() {
  waits=0
  while systemctl is-active --quiet $attach && systemctl show -P ActiveState $mount $open | grep -qE '^(de)?activating' && [ -z "$(question)" ] && [ $waits -lt 60 ]; do
    waits=$((waits + 1))
    sleep 0.5
  done
  was=
  for unit in $mount $open; do
    if systemctl is-active --quiet $unit; then was="$was $unit"; fi
  done
}
at_rest
by_session() { test -x $session && ${attachedBy(name, sessionUnit(name))}; }
refuse() {
  echo "the disk ${name} is in use, and left as it was:" >&2
  echo "$1" >&2
  echo "End these users (or stop their services), or unmount what they have mounted; then run the same again." >&2
  exit ${inUse}
}
# Would cost what is not written yet. To give that up is an act of its own, by hand.
out_of_reach() {
  echo "the disk ${name} cannot be taken down now: $1" >&2
  if by_session; then give_up=${`netdisk abort ${name}`}; else give_up=${`systemctl stop ${diskTarget(name)}`}; fi
  echo "Bring the server back, or give up what it does not have ($give_up on this host); then run the same again." >&2
  exit ${inUse}
}
note=${sessionAttached(name)}
${new Command(part("attached.sh").text)}
${deviceUsers}
${writtenOut}
holders() {
  openers
  layers
  own=$(mounts /proc/1/mountinfo)
  if [ "$(printf %s "$own" | grep -c '')" -gt 1 ]; then
    echo "$own" | while read -r path peer; do echo "  mounted at $path"; done
  fi
  # What is shared with our mount goes with it.
  peer=$(echo "$own" | awk 'NR == 1 { print $2 }')
  stat -L -c '%i %n' /proc/[0-9]*/ns/mnt 2>/dev/null | sort -u -k 1,1 | while read -r inode file; do
    pid=\${file#/proc/} pid=\${pid%%/*}
    if [ $inode = "$(stat -L -c %i /proc/1/ns/mnt)" ]; then continue; fi
    mounts /proc/$pid/mountinfo 2>/dev/null | while read -r path peers; do
      case " $peers " in *" \${peer:-none} "*) continue ;; esac
      said_of $pid "has it mounted at $path in a mount namespace of its own"
    done
  done
}
unmount() {
  for path in $(mounts /proc/1/mountinfo | awk '{ print $1 }'); do
    at=$(printf %b "$path")
    # The server may be silent already, and nobody have noticed.
    bounded 60 sync -f "$at" || out_of_reach "its server does not take what is written to $at (sync -f $ended); $(unwritten)"
    # What is mounted read-only may have kept an old log, and wrote none.
    if test -w "$at"; then proof=closed_well; else proof=true; fi
    if ! said=$(umount "$at" 2>&1); then refuse "$said
$(holders)"; fi
    if ! bounded 45 readable || ! bounded 45 $proof; then
      case "$was " in *" $mount "*) systemctl restart --no-block $mount ;; esac
      out_of_reach "its server went away while $at was unmounted; all that was written until then is there, and the disk is mounted again once the server is back"
    fi
  done
}
# Given up (netdisk abort): nobody can write what it had not. Its plugin takes no other disk.
if [ "$(systemctl show -P SubState $attach)" = exited ] && ! attached && ! test -L ${attachedDevice(name)}; then
  systemctl stop $was $attach
  ! systemctl is-active --quiet $attach || exit 1
  case $($session value state) in ended) systemctl stop ${sessionUnit(name)} || exit 1 ;; esac
fi
# With a session whose server is out of reach, umount would wait for it, and so would we.
if systemctl is-active --quiet $attach && by_session && ! state=$($session value state | grep -E '^(up|replaying)$'); then
  out_of_reach "its server is out of reach ($($session value state): $($session value reason)), $($session value retained) bytes are not safe there yet"
fi
if systemctl is-active --quiet $attach && node=$(readlink -e ${mappedDevice(name)}); then
  dm=\${node##*/} number=$(cat /sys/class/block/\${node##*/}/dev) || exit 1
  major=\${number%:*} minor=\${number#*:}
  # udev, or a command that only passes by, is no user.
  tries=0
  while found=$(holders) && [ -n "$found" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 4 ]; then refuse "$found"; fi
    sleep 1
  done
  unmount
  # Whoever came meanwhile, or is not seen by the above; udev may look at the device for a moment.
  tries=0
  until [ "$(dmsetup info -c --noheadings -o open ${name})" = 0 ]; do
    tries=$((tries + 1))
    if [ $tries -gt 25 ]; then
      found=$(holders)
      case "$was " in *" $mount "*) systemctl restart $mount ;; esac
      refuse "\${found:-  something keeps /dev/$dm open (dmsetup ls --tree)}"
    fi
    sleep 0.2
    # Where the device was attached only a moment ago, the chain may have mounted it since.
    at_rest
    unmount
  done
  [ -z "$was" ] || systemctl stop $was || exit 1
  if readlink -e ${mappedDevice(name)} >/dev/null; then
    echo ${`${mappedDevice(name)} is still there, although nobody uses it; close it: cryptsetup close ${name}`} >&2
    exit 1
  fi
fi
`;

/**
 * Brings up again what takeDown has left in `$was`; `done`: what is in order by now. A disk with a sealed key is given
 * the passphrase from standard input.
 */
export const bringUp = (
  done: string,
  { name, keyPassphrase }: { name: string; keyPassphrase?: Secret },
): Command => {
  const unlock =
    keyPassphrase === undefined
      ? sh``
      : sh`case "$was " in *" $open "*) ${givingPassphrase(name)}systemctl start --no-block $was && give_passphrase ;; esac && `;
  return sh`[ -z "$was" ] || { ${unlock}timeout 120 systemctl start $was; } || { echo ${`${done}, but what is above it does not come up:`} >&2; systemctl list-units --all --plain --no-legend --no-pager $was >&2; exit 1; }`;
};

/** The same for a layer that is not in order yet: the disk comes up by itself once it is. */
export const bringUpLater = sh`[ -z "$was" ] || systemctl start --no-block $was`;

/** The same as a step of its own, before something is removed. `below`: only where the attachment stands on this unit. */
export const inOrder = (name: string, below?: string): RunStep => ({
  do: "run",
  title: `take the disk ${name} down, unless it is in use`,
  command:
    below === undefined
      ? takeDown(name)
      : sh`if ${attachedBy(name, below)}; then
${takeDown(name)}fi`,
  inUse,
  timeoutMs: 330_000,
});
