/** The operator of a disk whose key is sealed: waits until the client asks for the passphrase, and answers. */
import { isMounted, on, tryOn } from "./lab";
import { until } from "./run";

const idOf = (disk: string): string => `Id=netdisk:${disk}`;

const asks = async (disk: string): Promise<boolean> =>
  (await tryOn("client", `grep -qsx ${idOf(disk)} /run/systemd/ask-password/ask.*`)).code === 0;

/** Waits until the disk's question is there. */
export const asked = (disk: string): Promise<unknown> =>
  until(`the client asks for the passphrase of ${disk}`, 180, () => asks(disk));

/** Answers the question that is there, by the program with which systemd's own agents answer. */
export const answer = (disk: string, passphrase: string): Promise<string> =>
  on(
    "client",
    `file=$(grep -lx ${idOf(disk)} /run/systemd/ask-password/ask.*) &&
     exec /lib/systemd/systemd-reply-password 1 "$(sed -n s/^Socket=//p "$file")"`,
    passphrase,
  );

/** Waits until the disk is back after a reboot of either host, and answers if it asks: one that lost its server does. */
export async function unlocked(disk: string, path: string, passphrase: string): Promise<void> {
  await until(`${path} is mounted, or ${disk} asks for its passphrase`, 300, async () => {
    if (await isMounted(path)) return true;
    if (!(await asks(disk))) return false;
    await answer(disk, passphrase);
    return true;
  });
}
