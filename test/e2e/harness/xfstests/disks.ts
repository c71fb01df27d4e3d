/** The disks of both sides on the client: two that netdisk made, and two loop devices of the same sizes beside them. */
import { sh } from "../../../../provider/host/sh";
import { attachedDevice, mappedDevice, mountUnit } from "../../../../schema/paths";
import { lab, on, tryOn } from "../lab";
import { defaultStack, type Disk } from "../project";
import { must, until } from "../run";
import { pristine, up } from "../scenario";
import type { Side } from "./results";

/** What xfstests calls them. */
export interface Devices {
  test: string;
  scratch: string;
}

const names: Devices = { test: "fstest", scratch: "fsscratch" };
const roles = Object.keys(names) as (keyof Devices)[];
const size = "5 GiB";

const wish = (name: string): Disk => ({
  file: { size },
  mount: { path: `/mnt/${name}` },
  transport: "session",
});

/** xfstests mounts the mappings itself, and netdisk's own mounts must stay away: after a boot, too. */
const dropIn = (name: string): string => `/etc/systemd/system/${mountUnit(name)}.d/xfstests.conf`;

const keepUnmounted = (name: string) => sh`set -e
mkdir -p "$(dirname ${dropIn(name)})"
printf '[Unit]\\nConditionPathExists=!/\\n' >${dropIn(name)}
systemctl daemon-reload
systemctl stop ${mountUnit(name)}`;

/** What the disks were made by: an earlier run's may be older than the checkout. */
const versionNote = "/root/netdisk-version";
export const netdiskVersion = (): Promise<string> => on("client", sh`cat ${versionNote}`.text);

/** Whether an earlier run has left them, maybe switched off. */
export async function areMade(): Promise<boolean> {
  await lab("up");
  return (await tryOn("client", sh`test -e ${versionNote}`.text)).code === 0;
}

/** Two new hosts, and two disks whose mappings nobody uses. */
export async function makeDisks(): Promise<void> {
  await pristine({
    ...defaultStack,
    disks: { [names.test]: wish(names.test), [names.scratch]: wish(names.scratch) },
  });
  await up();
  for (const role of roles) await on("client", keepUnmounted(names[role]).text);
  const { stdout } = await must(["git", "describe", "--always", "--dirty"]);
  // The client's power may be cut soon.
  await on("client", sh`echo ${stdout.toString().trim()} >${versionNote} && sync`.text);
}

async function netdiskDevices(): Promise<Devices> {
  const devices = { test: mappedDevice(names.test), scratch: mappedDevice(names.scratch) };
  for (const role of roles) {
    await until(
      `${devices[role]} is open`,
      300,
      async () => (await tryOn("client", sh`test -b ${devices[role]}`.text)).code === 0,
    );
  }
  return devices;
}

/** A loop device with the size and the blocks of netdisk's, set up where there is none since the boot. */
const loopLike = (file: string, like: string, block: string) => sh`set -e
mkdir -p "$(dirname ${file})"
truncate -s "$(blockdev --getsize64 ${like})" ${file}
device=$(losetup --noheadings --output NAME --associated ${file})
if [ -z "$device" ]; then
  device=$(losetup --find --show --sector-size "$(blockdev --getss ${block})" ${file})
fi
echo "$device"`;

async function localDevices(): Promise<Devices> {
  const like = await netdiskDevices();
  const device = (role: keyof Devices): Promise<string> =>
    on("client", loopLike(`/var/lib/xfstests/${role}.img`, like[role], attachedDevice(names[role])).text);
  return { test: await device("test"), scratch: await device("scratch") };
}

/** The devices of a side, there and with nothing of an earlier run on the one for TEST_DEV but a new file system. */
export async function devicesOf(side: Side): Promise<Devices> {
  const devices = await (side === "netdisk" ? netdiskDevices() : localDevices());
  await on("client", sh`mkfs.xfs -q -f ${devices.test}`.text);
  return devices;
}

/** What must not be in a reason: two sides that say the same are to be seen as such. */
export const withoutDevices = (text: string, { test, scratch }: Devices): string =>
  text.replaceAll(scratch, "SCRATCH_DEV").replaceAll(test, "TEST_DEV");
