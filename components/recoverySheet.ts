/** A text to print or to keep offline: one disk's sealed copy, and how any Linux reads the disk with it. Pure. */
import { attachment } from "../schema/client";
import type { KeyReading } from "../schema/fields";

/** cryptsetup reads a key on its standard input up to the first line break, as that of such a disk was read. */
const openWith = (reading: KeyReading | undefined): string =>
  reading === "first line"
    ? 'cryptsetup open --type luks --header header "$device" rescue <key'
    : 'cryptsetup open --type luks --header header --key-file key "$device" rescue';

export interface SheetValues {
  name: string;
  luksUuid: string;
  /** HOST:PORT of the server. */
  endpoint: string;
  /** What holds the encrypted bytes on the server. */
  backing: string;
  keyReading: KeyReading | undefined;
  /** The device's logical block size, bytes: a file system made with one does not mount with another. */
  blockSize: number | undefined;
  /** ASCII-armored OpenPGP message. */
  sealed: string;
}

export const recoverySheet = ({
  name,
  luksUuid,
  endpoint,
  backing,
  keyReading,
  blockSize = attachment.inputs.blockSize.schema.parse(undefined),
  sealed,
}: SheetValues): string => `\
netdisk recovery sheet

disk       ${name}
LUKS UUID  ${luksUuid}
bytes      ${backing} on ${endpoint}, encrypted

What reads the disk without netdisk and Pulumi: this text, the recovery passphrase, the encrypted bytes or a copy of
them, and any Linux that you trust with gpg, tar, gzip and cryptsetup. Not the server: whoever runs it would have the
key. As root, with this text in the file sheet.txt:

1. Take the sealed copy of key and header out of this text.

       sed -n '/^disk  *${name}$/,/^-----END PGP/p' sheet.txt | sed -n '/^-----BEGIN PGP/,$p' >disk.asc

2. Open it in memory. gpg asks for the recovery passphrase; the files \`key\` and \`header\` appear.

       umask 077
       here=$PWD
       cd "$(mktemp -d /dev/shm/rescue.XXXXXX)"
       gpg --decrypt "$here/disk.asc" | tar xz

3. Open the disk. disk.img is the file of the server or a copy; a whole device is named in place of "$device".

       device=$(losetup --find --show --sector-size ${blockSize} "$here/disk.img")
       ${openWith(keyReading)}
       mount -o ro,norecovery /dev/mapper/rescue /mnt

   Read-only, so that looking changes nothing; to go on using the disk, leave \`-o ro,norecovery\` out.

4. Afterwards close it, and forget the key, and the passphrase, which gpg's agent keeps for some minutes.

       umount /mnt
       cryptsetup close rescue
       losetup --detach "$device"
       rm -r "$PWD"
       gpgconf --kill gpg-agent

${sealed.trimEnd()}
`;
