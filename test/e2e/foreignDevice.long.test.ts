/**
 * What is on a real device of the server that netdisk did not make is refused there, by its name, before anything of it is
 * changed: not a byte, nor whose it is. The kinds are those of foreign.long, on a partition of the lab's real disk.
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
  size,
} from "./harness/foreign";
import { on } from "./harness/lab";
import { startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

const partition = "/dev/ubdb1";
const partitionUuid = "0f5b0a3e-6d6b-4a3c-9a55-3d1f0c7e9b21";
const path = `/dev/disk/by-partuuid/${partitionUuid}`;
let device: Asked;

/** Every byte, and whose it is. */
const untouched = () => on("server", `sha256sum ${partition} && stat -L -c '%U:%G %a' ${partition}`);

/** What a device that was taken has on the server. */
const made = () =>
  on(
    "server",
    "ls -d /etc/netdisk/made/foreign /etc/udev/rules.d/*netdisk-foreign* /var/lib/netdisk/claims/*/foreign 2>/dev/null || true",
  );

async function put(make: string): Promise<void> {
  await image(make);
  await on("server", `dd if=${imageFile} of=${partition} bs=4M conv=fsync status=none && udevadm settle`);
}

beforeAll(async () => {
  await startMounted();
  await installTools();
  // Or what a later kind is put on is still in use by this one.
  await on("server", "ln -s /dev/null /etc/udev/rules.d/69-bcache.rules && udevadm control --reload");
  await on(
    "server",
    `printf 'label: gpt\nsize=${size / 512}, uuid=${partitionUuid}\n' | sfdisk -q /dev/ubdb && udevadm settle && test -b ${path}`,
  );
  expect(await on("server", `blockdev --getsize64 ${path}`)).toBe(String(size));
  device = await askProvider("server", "BlockDevice", { name: "foreign", path });
}, minutes(20));

afterAll(async () => {
  device.end();
  await forgetImages();
});

describe("refused on the server, by its name, and unchanged", () => {
  it.each(kinds)(
    "$name",
    async ({ make, says, attach, done }) => {
      await put(make);
      const before = await untouched();
      if (attach !== undefined) await on("server", `d=${partition}; ${attach}`);
      const said = await device.refusal();
      if (done !== undefined) await on("server", `d=${partition}; ${done}`);
      expect(said).toMatch(
        new RegExp(attach === undefined ? says : says.replace("in use: ", "in use on the server: ")),
      );
      expect(said).toContain(path);
      expect(await made()).toBe("");
      expect(await untouched()).toBe(before);
    },
    minutes(2),
  );
});

it(
  "a blank one is taken, and still not written to",
  async () => {
    await put("true");
    const bytes = () => on("server", `sha256sum ${partition}`);
    const before = await bytes();
    expect(await device.refusal()).toBeUndefined();
    expect((await made()).split("\n")).toHaveLength(3);
    expect(await bytes()).toBe(before);
  },
  minutes(2),
);
