/** The server's second disk, as a real one. */
import { on } from "./lab";

export const labDisk = "/dev/disk/by-id/lab-disk-1";

/**
 * The lab's second disk has no serial number, as a hypervisor or a real disk would give it one: a rule of the tests' own on
 * the server stands for that.
 */
export const serialRule = (serial = "LAB-DISK-1"): Promise<string> =>
  on(
    "server",
    `echo 'KERNEL=="ubdb", ENV{ID_SERIAL}="${serial}", SYMLINK+="disk/by-id/lab-disk-1"' >/etc/udev/rules.d/60-lab-disk.rules &&
     udevadm control --reload && udevadm trigger --settle --action=change /dev/ubdb`,
  );
