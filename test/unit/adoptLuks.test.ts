/** The LUKS header of a disk to adopt: when it is taken for the disk's, by what the client answers. */
import { describe, expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import type { Command } from "../../provider/host/sh";
import { luks } from "../../provider/resources/luks";
import { luksKey } from "../../provider/resources/luksKey";
import { articleLuks } from "./articleLuks";

const uuid = "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11";
const keyFile = "/etc/netdisk/keys/t1.key";
const inputs = articleLuks(uuid);

/** In which slot the disk's key is, where somebody else's passphrase is in slot 0. */
const ownSlot = 1;
const slotOf = (hash: string, pbkdf: string) => ({
  ...{ type: "luks2", key_size: 64, af: { hash }, kdf: { type: pbkdf } },
  area: { offset: "32768", size: "258048" },
});
const twoSlots = `${JSON.stringify({
  keyslots: { 0: slotOf("sha512", "pbkdf2"), [ownSlot]: slotOf("sha256", "argon2id") },
  segments: { 0: { type: "crypt", offset: "16777216", encryption: "aes-xts-plain64", sector_size: 4096 } },
})}${uuid}\n`;

const dump = (of: string) => `LUKS header information for h

Version:       	1
Cipher name:   	twofish
Cipher mode:   	cbc-essiv:sha256
Hash spec:     	sha256
Payload offset:	4096
MK bits:       	256
UUID:          	${of}

Key Slot 0: ENABLED
	Key material offset:	8
	AF stripes:            	4000
`;

interface Answers {
  /** UUID of the header on the device. */
  onDevice?: string;
  /** How the key opens: `whole`, `line BYTES`, `none`, `any`. */
  opens?: string;
  /** In which slot. */
  slot?: number;
  /** What cryptsetup says of the header, wherever it is asked. */
  header?: string;
  /** The client has its copy. */
  copy?: boolean;
  key?: boolean;
  remains?: string;
  fstab?: string;
  attached?: boolean;
}

function clientOf({
  onDevice = uuid,
  opens = "line 188",
  slot = 0,
  header,
  copy = false,
  key = true,
  remains = "",
  fstab = "",
  attached = true,
}: Answers): Host {
  const noFile = { exitCode: 1, stdout: "", stderr: "stat: No such file or directory\n" };
  const file = { exitCode: 0, stdout: "regular file|4096|400|root:root\n", stderr: "" };
  const said = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: "" });
  const unlocked = `Key slot ${slot} unlocked.\nCommand successful.\n`;
  const unit = (active: boolean) =>
    `Id=netdisk-attach@t1.service\nLoadState=loaded\nActiveState=${active ? "active" : "inactive"}\nSubState=exited\nResult=success\nUnitFileState=static\nFragmentPath=/x\nDropInPaths=\nNeedDaemonReload=no\nMainPID=0\nInvocationID=\n`;
  const script: [RegExp, { exitCode: number; stdout: string; stderr: string }][] = [
    [/^stat .*headers/, copy ? file : noFile],
    [/^stat /, key ? file : noFile],
    [/^on_it=/m, said(remains)],
    [/^systemctl show/, said(unit(attached))],
    [/^if test -b/, said("/sys/class/block/nbd0\n43:0\n1048576\n")],
    [/refused\(\)/, said(`${opens.replace(/^whole|^line/, `$& ${slot}`)}\n`)],
    [/^if ! test -e/, copy ? said(header ?? dump(uuid)) : said("", 44)],
    [/^cat .* wc -c$/, /^line/.test(opens) ? said(`${unlocked}${opens.slice(5)}\n`) : said("", 2)],
    [/^cryptsetup open/, opens === "whole" ? said(unlocked) : said("", 2)],
    [/used=/, said("equal\n")],
    [/skip|isLuks/, said(header ?? dump(onDevice))],
  ];
  return {
    label: "client",
    exec: ({ text }: Command) => {
      const answer = script.find(([words]) => words.test(text))?.[1];
      return answer ? Promise.resolve(answer) : Promise.resolve(said("", 44));
    },
    readFile: (path: string) => Promise.resolve(path === "/etc/fstab" ? Buffer.from(fstab) : undefined),
  } as unknown as Host;
}

const observe = (answers: Answers, state?: object) =>
  luks.observe(clientOf(answers), inputs, { name: "t1", state: state as never });

describe("the header on the device", () => {
  it("is found, and not yet kept; the reading of the key that fits is said", async () => {
    expect(await observe({})).toMatchObject({
      is: "present",
      state: { uuid, cipher: inputs.cipher, type: "luks1", kept: false, offset: 2097152 },
      note: expect.stringContaining(`the key is the first line of ${keyFile}, 188 bytes`) as string,
    });
  });

  it.each<[string, Answers, string]>([
    [
      "another UUID",
      { onDevice: "5796cca7-6149-42b5-ab40-e765711a3551" },
      "is not the disk to adopt: it has LUKS UUID 5796cca7",
    ],
    ["a key that does not open it", { opens: "none" }, "neither as a whole nor up to its first line break"],
    ["any key", { opens: "any" }, "opens with any key"],
  ])("is refused with %s", async (_, answers, what) => {
    expect(await observe(answers)).toMatchObject({
      is: "foreign",
      what: expect.stringContaining(what) as string,
    });
  });

  it("is not looked at again once the client has its copy, and a weak key is warned of", async () => {
    const look = await observe({ copy: true, opens: "line 7", onDevice: "another" });
    expect(look).toMatchObject({
      is: "present",
      state: { kept: true, keyReading: "first line", keyBytes: 7 },
      warning: expect.stringContaining("ends at its first line break, after 7 bytes") as string,
    });
  });

  it.each([
    ["first line", "whole", "whole"],
    ["whole", "line 188", "first line"],
  ])("says how the key is read by now, where that was: %s, and is: %s", async (last, opens, keyReading) => {
    expect(await observe({ copy: true, opens }, { uuid, keyReading: last })).toMatchObject({
      is: "present",
      state: { keyReading, keySlot: 0 },
    });
  });

  it.each([false, true])("is as the key's own slot was made, not as another one (kept: %s)", async (copy) => {
    const look = await observe({ header: twoSlots, slot: ownSlot, opens: "whole", copy });
    expect(look).toMatchObject({
      is: "present",
      state: { kept: copy, slots: [0, ownSlot], keySize: 512, hash: "sha256", pbkdf: "argon2id" },
    });
  });

  it("is not taken for anything by a slot that it does not have", async () => {
    await expect(observe({ copy: true, slot: 2 })).rejects.toThrow(
      /has no key slot 2, which the key has opened: key slots in use: 0\. .*Run the same again/,
    );
  });

  it("says nothing of a key that nobody can guess", async () => {
    expect(await observe({ copy: true, opens: "whole" })).toEqual({
      is: "present",
      state: expect.objectContaining({ keyReading: "whole", keySlot: 0 }) as object,
    });
  });
});

describe("the key", () => {
  const wishes = { name: "t1", bytes: 64, gpg: undefined, passphrase: undefined, adopt: uuid };
  const look = (answers: Answers, state?: object) =>
    luksKey.observe(clientOf(answers), wishes, { name: "t1", state: state as never });

  it("is not made where it is missing", async () => {
    expect(await look({ key: false })).toMatchObject({
      is: "foreign",
      what: `there is no ${keyFile}, which would be the key of the disk to adopt, "t1"`,
    });
  });

  it("is not taken while the disk is still open by hand, and that is asked only before it is taken", async () => {
    const remains = "mapping mine 1-2 \nmounted /dev/mapper/mine /mnt/disk\nattached nbd0\n";
    const fstab = "UUID=1-2 /mnt/disk xfs noauto 0 0\n";
    expect(await look({ remains, fstab })).toMatchObject({
      is: "foreign",
      what:
        'the disk "t1" is not taken down: /dev/mapper/mine is open; /dev/mapper/mine is mounted at /mnt/disk; ' +
        "/dev/nbd0 is attached; /etc/fstab has a line for it: UUID=1-2 /mnt/disk xfs noauto 0 0",
    });
    const later = await look({ remains }, { name: "t1", bytes: 64 });
    expect(later).not.toMatchObject({ what: expect.stringContaining("taken down") as string });
  });
});
