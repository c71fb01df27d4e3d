# shellcheck shell=bash
# The help texts.

help_all() {
  cat <<'TEXT'
lab/lab: two throw-away Debian hosts, "server" and "client", on this machine, with kernels, disks and a link of their own.

  lab/lab build                        get everything from nothing (up does it too)
  lab/lab up                           start both hosts; done when both can be logged in to
  lab/lab down                         shut both down; nothing keeps running, disks persist
  lab/lab reset [HOST]                 both hosts as new, in seconds; or one
  lab/lab status                       what is up; exit code 3 if a host is not

  lab/lab ssh HOST [COMMAND...]        root shell, or one command
  lab/lab ssh-config                   path of the ssh_config for these hosts
  lab/lab exec COMMAND...              run a command of this machine in the lab's network
  lab/lab console HOST                 the host's console log

  lab/lab link cut|heal|show           the link between the hosts
  lab/lab link shape RATE DELAY [LOSS] make it slow and long, e.g. 80mbit 15ms, and bad, e.g. 5%
  lab/lab link clear                   the end of that
  lab/lab power cut|on HOST            pull the plug, put it back
  lab/lab reboot HOST                  clean reboot
  lab/lab snapshot save|restore|delete NAME, snapshot list

Each verb has a --help. Environment:
  NETDISK_LAB       which lab, for several at the same time (default: lab)
  NETDISK_LAB_SUITE Debian's suite that the hosts run (default: trixie); such a lab needs a name of its own
  NETDISK_LAB_KERNEL Debian's suite that their kernel is from (default: sid); such a lab needs a name of its own, too
  NETDISK_LAB_MEM   each host's memory (default: 1G)
  NETDISK_LAB_DISK  size of the server's second disk when it is made (default: 4G)
  NETDISK_CACHE     where kernel, image and keys are kept, relative to the checkout (default: .cache)
TEXT
}

HELP_VERBS=' build up down reset status ssh ssh-config exec console link power reboot snapshot '

help_has() { [[ $HELP_VERBS == *" $1 "* ]]; }

help_verb() {
  case $1 in
    build) cat <<'TEXT' ;;
lab/lab build
  Gets what the hosts are made of: packages of this machine, the user-mode-linux kernel with its libc, the Debian image,
  keys, nbd.git. From nothing: about a minute and 200 MB of downloads. What is there is kept. "up" calls it when needed.
TEXT
    up) cat <<'TEXT' ;;
lab/lab up
  Starts the network and both hosts, and returns when both can be logged in to. Changes nothing if they are up.
  A host that does not come up: its console's last lines and exit code 1.
TEXT
    down) cat <<'TEXT' ;;
lab/lab down
  Shuts both hosts down cleanly and removes namespace, taps, relays, sockets and every process in the namespace, those of
  "lab/lab exec" included. The disks stay for the next "up"; the link is whole and unshaped then.
TEXT
    reset) cat <<'TEXT' ;;
lab/lab reset
  Throws both hosts' disks away and starts them as new. Host keys, login key and snapshots stay; the link is whole again.
lab/lab reset server|client
  One new machine at the old address, with the old host key: its system disk is as new, and the other host runs on. The
  server's second disk stays, as a data disk would.
TEXT
    status) cat <<'TEXT' ;;
lab/lab status
  Says what is up. Exit code 0 if both hosts answer, 3 if not.
TEXT
    ssh) cat <<'TEXT' ;;
lab/lab ssh server|client [COMMAND...]
  Root shell on the host, or one command; its exit code is ssh's. As the user "operator" (sudo without password):
  ssh -F "$(lab/lab ssh-config)" operator@server
TEXT
    ssh-config) cat <<'TEXT' ;;
lab/lab ssh-config
  Prints the path of the ssh_config with the aliases "server" and "client". It works from anywhere on this machine:
  a ProxyCommand enters the lab's network, host keys are pinned.
TEXT
    exec) cat <<'TEXT' ;;
lab/lab exec COMMAND...
  Runs a command of this machine inside the lab's network namespace, where the hosts are 10.77.0.2 and 10.77.0.3.
  "down" ends what still runs there.
TEXT
    console) cat <<'TEXT' ;;
lab/lab console server|client
  Prints the host's console, all boots since the last reset.
TEXT
    link) cat <<'TEXT' ;;
lab/lab link cut                 the hosts no longer hear each other; this machine still reaches both
lab/lab link heal                the end of a cut
lab/lab link shape RATE DELAY [LOSS]
                                 e.g. 80mbit 15ms: each direction between the hosts gets this rate and this delay (so the
                                 round trip is twice the delay); 80mbit 15ms 5%: and loses this share of its packets; it
                                 holds through reboots and power cuts
lab/lab link clear               the end of a shape
lab/lab link show                what holds now, asked from the hosts
TEXT
    power) cat <<'TEXT' ;;
lab/lab power cut server|client  the plug: the host's kernel is killed at once. What the guest had handed to its disk is kept,
                                 what was in its memory is lost (lab/README.md says what this can and can't show)
lab/lab power on server|client   boots it, returns when it can be logged in to
TEXT
    reboot) cat <<'TEXT' ;;
lab/lab reboot server|client
  Clean reboot by the host's own systemd; returns when the new boot can be logged in to.
TEXT
    snapshot) cat <<'TEXT' ;;
lab/lab snapshot save NAME       keeps both hosts' disks (running hosts are shut down for it and booted again)
lab/lab snapshot restore NAME [LAB]
                                 throws the present disks away, takes the kept ones, boots; the link is whole and unshaped.
                                 LAB: takes those of another lab
lab/lab snapshot delete NAME
lab/lab snapshot list
  Snapshots belong to one lab (NETDISK_LAB) and survive its reset. Other labs of the checkout can take them up: addresses
  and host keys are the same in each.
TEXT
  esac
}
