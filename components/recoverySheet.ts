/** A text to print or to keep offline: one disk's sealed copy, and how any Linux reads the disk with it. Pure. */
import { attachment } from "../schema/client";
import type { KeyReading } from "../schema/fields";

/** cryptsetup reads a key on its standard input up to the first line break, as that of such a disk was read. */
const openWith = (reading: KeyReading | undefined): string =>
  `cryptsetup open --type luks --header "$rescue/header" ${
    reading === "first line" ? '"$device" rescue <"$rescue/key"' : '--key-file "$rescue/key" "$device" rescue'
  }`;

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
key. As root, in a directory that holds this text as sheet.txt and the bytes as disk.img (or with a whole device, which
step 3 then names in place of "$device", without losetup):

1. Take the sealed copy of key and header out of this text.

       sed -n '/^disk  *${name}$/,/^-----END PGP/p' sheet.txt | sed -n '/^-----BEGIN PGP/,$p' >disk.asc

2. Open it in memory. gpg asks for the recovery passphrase; \`key\` and \`header\` appear in a directory of their own.

       umask 077
       rescue=$(mktemp -d /dev/shm/rescue.XXXXXX) && gpg --decrypt disk.asc | tar xz -C "$rescue"

3. Open the disk.

       device=$(losetup --find --show --sector-size ${blockSize} disk.img)
       ${openWith(keyReading)}
       mount -o ro,norecovery /dev/mapper/rescue /mnt

   Read-only, so that looking changes nothing; to go on using the disk, leave \`-o ro,norecovery\` out.

4. Once you have copied what you need from /mnt, close the disk, and forget the key, and the passphrase, which gpg's agent
   keeps for some minutes.

       cd / && umount /mnt && cryptsetup close rescue && losetup --detach "\${device:?}"
       rm -- "\${rescue:?}/key" "$rescue/header" && rmdir -- "$rescue"
       gpgconf --kill gpg-agent

   Where the first line says that the target is busy, nothing was closed: end what \`fuser -vm /mnt\` names, and give it
   again. In another shell than that of step 3, first set both: \`losetup --list\` has the device, and
   \`ls -d /dev/shm/rescue.*\` the directory.

${sealed.trimEnd()}
`;
