/** The sealed copy in the state, and what it is for. */
import { expect } from "vitest";
import { on } from "./lab";
import { pulumi } from "./project";

export const keyOf = (disk: string): string => `/etc/netdisk/keys/${disk}.key`;
export const headerOf = (disk: string): string => `/var/lib/netdisk/headers/${disk}.luks`;

/** What tries a key, before `KEY HEADER`. */
export const opens = "cryptsetup open --test-passphrase --key-file";

export const slotsOf = async (place: string): Promise<number[]> =>
  (await on("client", `cryptsetup luksDump ${place} | sed -n 's/^  \\([0-9]*\\): luks2$/\\1/p'`))
    .split("\n")
    .map(Number);

/** What the sealed copy in the state holds opens the disk, as docs/recovery.md, C does it: gpg and cryptsetup alone. */
export async function expectRescue(disk: string, by: string): Promise<void> {
  const { code, stdout } = await pulumi(["stack", "output", "recovery", "--show-secrets", "--json"]);
  expect(code).toBe(0);
  const { [disk]: sealed } = JSON.parse(stdout.toString()) as Record<string, string>;
  await on(
    "client",
    `t=$(mktemp -d /run/rescue.XXXXXX) && cd $t && cat >sealed &&
     printf '%s\\n' ${JSON.stringify(by)} | gpg --homedir $t --batch --pinentry-mode loopback --passphrase-fd 0 --decrypt sealed 2>/dev/null | tar -xzf - &&
     cmp key ${keyOf(disk)} && cmp header ${headerOf(disk)} && ${opens} key header; s=$?; cd / && rm -r $t; exit $s`,
    sealed,
  );
}
