# shellcheck shell=bash
# Names, paths and addresses. Everything that can be set from outside is read here and nowhere else.
# shellcheck disable=SC2034  # used by the other parts

CHECKOUT=$(dirname "$LAB_DIR")
LAB_NAME=${NETDISK_LAB:-lab}
[[ $LAB_NAME =~ ^[a-z0-9][a-z0-9-]{0,19}$ ]] ||
  usage_error "NETDISK_LAB is \"$LAB_NAME\", which is no name for a lab" \
    "Use up to 20 of a-z, 0-9 and -, beginning with a letter or digit."

# What the hosts run. nbd's source comes from one suite always: a disk's stack file names its tag.
SUITE=${NETDISK_LAB_SUITE:-trixie}
[[ $SUITE =~ ^[a-z]+$ ]] || usage_error "NETDISK_LAB_SUITE is \"$SUITE\", which is no name of a Debian suite" \
  "Use trixie or bookworm."
SOURCE_SUITE=trixie
# The guests' kernel comes from a suite of its own, so that what a release's kernel does can be looked at.
KERNEL_SUITE=${NETDISK_LAB_KERNEL:-sid}
[[ $KERNEL_SUITE =~ ^[a-z]+$ ]] || usage_error "NETDISK_LAB_KERNEL is \"$KERNEL_SUITE\", which is no name of a Debian suite" \
  "Use sid, trixie or bookworm."
# Shared by all labs of a suite and kernel, kept between runs: kernel, image, keys, nbd.git.
CACHE=$(cache_of "$CHECKOUT")/lab
[[ $SUITE == trixie ]] || CACHE+=-$SUITE
[[ $KERNEL_SUITE == sid ]] || CACHE+=-kernel-$KERNEL_SUITE
# One lab's own disks, logs and ssh_config: lives as long as the checkout.
STATE=$CHECKOUT/.lab/$LAB_NAME
# The checkout's path is part of the id, so that clones side by side, each with a lab called "lab", never meet.
LAB_ID=$LAB_NAME-$(printf '%s' "$CHECKOUT" | sha256sum | cut -c1-6)
NAMESPACE=netdisk-$LAB_ID
# Sockets and pid files of the running lab. Not in the checkout: a unix socket's path is limited to 108 bytes,
# and the processes must still be found when the checkout has been deleted under them.
RUN_ROOT=/run/netdisk-lab
RUN=$RUN_ROOT/$LAB_ID

# The kernel reads these paths from its command line, where blanks and commas separate.
for path in "$CACHE" "$STATE"; do
  [[ $path =~ ^[A-Za-z0-9._/+@-]+$ ]] || die "the path $path holds a character that the guests' kernel can't take on its command line" \
    "Use a path of letters, digits and ._/+@- only, or move the cache with NETDISK_CACHE."
done

HOSTS=(server client)
HOST_ADDRESS=10.77.0.1
declare -A ADDRESS=([server]=10.77.0.2 [client]=10.77.0.3)
# Fixed: with a new MAC per boot the peers' ARP caches make a rebooted guest unreachable for up to 69 s.
declare -A MAC=([server]=02:77:00:00:00:02 [client]=02:77:00:00:00:03)

ROOT_SIZE=16G
SERVER_DISK_SIZE=${NETDISK_LAB_DISK:-4G}
MEMORY=${NETDISK_LAB_MEM:-1G}
BOOT_TIMEOUT=120
SHUTDOWN_TIMEOUT=40

# A host's name given on the command line.
need_host() {
  local host=${1:-} verb=$2
  [[ $host == server || $host == client ]] ||
    usage_error "\"$verb\" needs a host, server or client; got \"$host\"" "Run \"lab/lab ${verb%% *} --help\"."
}
