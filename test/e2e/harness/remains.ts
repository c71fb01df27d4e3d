/** Everything of netdisk's, or that it could have made, that is on a host: by name, not what is in it. */
import { hosts, type HostName, on } from "./lab";

/** Where it writes. */
export const places =
  "/var/lib/netdisk /etc/netdisk /etc/nbd-server /etc/systemd/system /etc/udev /etc/modprobe.d /etc/modules-load.d";

const programs = "/usr/local/lib/netdisk /usr/local/sbin /opt/nbd /run/netdisk";

/** A file that was cut off while it was being written keeps a name of its own: nobody takes it for anything. */
const list = `{ find ${places} ${programs} ! -type d ! -name '.netdisk.*' 2>/dev/null
getent passwd | sed -n 's/^\\(netdisk[^:]*\\):.*/account \\1/p'
losetup --list --noheadings --output BACK-FILE | sed 's/^/loop device over /'
dmsetup ls | sed 's/\\t.*//; s/^/mapping /'
cat /sys/block/nbd*/size 2>/dev/null | grep -v '^0$' | sed 's/^/nbd device of /'
} | sort`;

export type Remains = Record<HostName, string[]>;

export async function remains(): Promise<Remains> {
  const found = await Promise.all(
    hosts.map(async (host) => [host, (await on(host, list)).split("\n")] as const),
  );
  return Object.fromEntries(found) as Remains;
}
