/**
 * What is on a device that netdisk did not make is refused, by its name, and not one byte of it changes. The kinds are
 * data: foreign.yaml. Each is put into the server's file of one disk and reaches the client by the real way, where the
 * real provider is told to format it.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Asked,
  askProvider,
  forgetImages,
  image,
  imageFile,
  installTools,
  kinds,
  mib,
  size,
} from "./harness/foreign";
import { on } from "./harness/lab";
import { pulumi, setDisks, testdisk, type Disk } from "./harness/project";
import { startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const file = "/var/lib/netdisk/foreign.img";
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const attach = "netdisk-attach@foreign.service";
const device = "/dev/netdisk/foreign";
// A session would keep the file open in between, and wait out an error of it.
const disk: Disk = {
  transport: "forward",
  file: { path: file, size: "320 MiB" },
  mount: { path: "/mnt/foreign" },
};

/** The whole device, as the server stores it. */
const digest = () => on("server", `sha256sum ${file}`);

/** The same, with all that a look at the file shows: owner, mode, blocks. */
const untouched = () => on("server", `sha256sum ${file} && stat -c '%u:%g %a %b' ${file}`);

const attached = () =>
  on(
    "client",
    `timeout 60 systemctl start ${attach} && test -b ${device} && [ "$(blockdev --getsize64 ${device})" = ${size} ]`,
  );

/** Puts the image into the disk's own file while nobody is connected. */
async function swapIn(): Promise<void> {
  await on("client", `systemctl stop ${attach}`);
  await on("server", `cp --sparse=always ${imageFile} ${file} && sync ${file}`);
}

/** The disk's Luks. Whole runs are the first tests of this file. */
let luks: Asked;

/** What a format that was begun leaves on the client: claim, header, note. The directories are there by the other disk. */
const made = async (): Promise<string[]> => {
  const found = await on(
    "client",
    "cd /var/lib/netdisk && find claims/luks headers intent -path 'claims/luks/foreign/*' -o -path 'headers/foreign*' -o -path 'intent/*'",
  );
  return found.split("\n").filter(Boolean).sort();
};

const nothingMade = async (): Promise<void> => expect(await made()).toEqual([]);

beforeAll(async () => {
  await startMounted();
  await installTools();
}, minutes(20));

afterAll(async () => {
  luks.end();
  await forgetImages();
});

describe("a file that was there before netdisk", () => {
  let sayItIs: string | undefined;

  it.each<[what: string, make: string, found: string]>([
    [
      "data behind zeros, which the client would overlook",
      `printf x | dd of=$img bs=1 seek=${50 * mib + 12345} conv=notrunc status=none`,
      `data from byte ${50 * mib + 12345} on that blkid does not know`,
    ],
    ["a file system", `mkfs.ext4 -q -U ${uuid} $img`, `ext4 ${uuid} (data from byte`],
    ["somebody's machine", "printf 'label: gpt\\n,\\n' | sfdisk -q $img", "gpt "],
  ])(
    "is refused on the server when it holds %s, and nothing of it is changed",
    async (_, make, found) => {
      await image(make);
      await on("server", `cp --sparse=always ${imageFile} ${file} && chmod 640 ${file}`);
      const before = await untouched();
      setDisks({ testdisk, foreign: disk });
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain(`${file} is a regular file that holds ${found}`);
      expect(await untouched()).toBe(before);
      await on("server", `rm ${file}`);
    },
    minutes(5),
  );

  it(
    "is refused when it has another size",
    async () => {
      await on("server", ": >/var/lib/netdisk/empty.img");
      const empty: Disk = { ...disk, file: { path: "/var/lib/netdisk/empty.img", size: "320 MiB" } };
      setDisks({ testdisk, empty: { ...empty, mount: { path: "/mnt/empty" } } });
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toMatch(/empty\.img is a regular file of 0 B, not of 320 MiB/);
      await on("server", "rm /var/lib/netdisk/empty.img");
    },
    minutes(5),
  );

  it(
    "that holds a LUKS container is refused on the server, too, and nothing of it is changed",
    async () => {
      await image(
        `echo secret-of-theirs | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --uuid ${uuid} $img`,
      );
      await on("server", `cp --sparse=always ${imageFile} ${file} && chmod 640 ${file}`);
      const before = await untouched();
      setDisks({ testdisk, foreign: disk });
      const says = `${file} is a regular file that holds the LUKS container ${uuid}, and is not noted as the disk`;
      expect((await pulumi(["preview"])).output).toContain(says);
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain(says);
      expect(await untouched()).toBe(before);
      sayItIs = /say so there: `([^`]+)`/.exec(output)?.[1];
    },
    minutes(5),
  );

  it(
    "and comes as far as the client when somebody says that it is the disk: named by `preview`, refused by `up`",
    async () => {
      if (sayItIs === undefined) throw new Error("the refusal has no command");
      await on("server", sayItIs);
      const before = await digest();
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      const says = `It holds crypto_LUKS ${uuid} (data from byte`;
      expect(output).toContain(says);
      expect((await pulumi(["preview"])).output).toContain(says);
      await nothingMade();
      expect(await digest()).toBe(before);
    },
    minutes(5),
  );
});

describe("refused, by its name, and unchanged", () => {
  beforeAll(async () => {
    const keyFile = "/etc/netdisk/keys/foreign.key";
    luks = await askProvider("client", "Luks", { name: "foreign", device, keyFile });
  }, minutes(2));

  it.each(kinds)(
    "$name",
    async (kind) => {
      await image(kind.make);
      await swapIn();
      const before = await digest();
      await attached();
      if (kind.attach !== undefined) await on("client", `d=$(readlink -f ${device}); ${kind.attach}`);
      const said = await luks.refusal();
      if (kind.done !== undefined) await on("client", `d=$(readlink -f ${device}); ${kind.done}`);
      expect(said).toMatch(new RegExp(kind.says));
      expect(said).toContain(device);
      await nothingMade();
      await on("client", `systemctl stop ${attach}`);
      expect(await digest()).toBe(before);
    },
    minutes(2),
  );

  it(
    "a device that cannot be read in one of the samples",
    async () => {
      await image("true");
      await swapIn();
      const before = await digest();
      // Below the export: device-mapper's error target in the middle of it.
      await on(
        "server",
        `dev=$(losetup --find --show ${file}) && dmsetup create bad <<TABLE
0 81920 linear $dev 0
81920 8192 error
90112 565248 linear $dev 90112
TABLE
chown nbd /dev/mapper/bad && mount --bind "$(readlink -f /dev/mapper/bad)" ${file}`,
      );
      await attached();
      const said = await luks.refusal();
      await on("client", `systemctl stop ${attach}`);
      await on(
        "server",
        `until umount ${file} && dmsetup remove bad; do sleep 0.5; done; losetup --detach-all`,
      );
      expect(said).toMatch(/the device could not be read/);
      expect(said).toMatch(/Input\/output error[^]*cannot read 65536 bytes from byte [0-9]+/);
      await nothingMade();
      expect(await digest()).toBe(before);
    },
    minutes(2),
  );

  it(
    "a device of size zero",
    async () => {
      await on("server", `truncate -s 0 ${file}`);
      await on("client", `systemctl start --no-block ${attach}; sleep 3; systemctl stop ${attach}`);
      await on("client", `systemctl start --no-block ${attach}; sleep 3`);
      const said = await luks.refusal();
      expect(said).toMatch(
        /cannot be seen: (netdisk-attach@foreign.service is|\/dev\/netdisk\/foreign is not)/,
      );
      await nothingMade();
      await on("client", `systemctl stop ${attach}`);
    },
    minutes(2),
  );
});

it(
  "a blank one is taken: what was refused was not everything, and what was looked for is there",
  async () => {
    await image("true");
    await swapIn();
    await attached();
    const real = await on("client", "command -v cryptsetup");
    const standIn = "/usr/local/sbin/cryptsetup";
    const text = `#!/bin/sh\ncase "$1" in luksFormat) exit 1 ;; esac\nexec ${real} "$@"\n`;
    await on("client", `cat >${standIn} && chmod 0755 ${standIn}`, text);
    expect(await luks.refusal()).toContain("luksFormat");
    expect(await made()).toEqual(["claims/luks/foreign/netdisk-e2e.e2e.json", "intent/luks-foreign"]);
    await on("client", `rm ${standIn}`);
    expect(await luks.refusal()).toBeUndefined();
    expect(await made()).toEqual(["claims/luks/foreign/netdisk-e2e.e2e.json", "headers/foreign.luks"]);
    expect(await on("client", `dd if=${device} bs=4096 count=1 status=none | head -c 4`)).toBe("LUKS");
  },
  minutes(5),
);
