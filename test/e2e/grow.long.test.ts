/**
 * A disk grows from its file to its file system while fio verifies what it writes and a writer appends: nobody gets an
 * error, nothing is unmounted. A run that ends after any of the steps is continued by the next one.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { formatSize, type Size } from "../../schema/size";
import { lab, mounted, on } from "./harness/lab";
import { installFio, kernelErrors, mountId, startFio } from "./harness/load";
import { rowsOf } from "./harness/previewText";
import { pulumi, setDisks, state, testdisk } from "./harness/project";
import { until } from "./harness/run";
import { expectNoChanges, startMounted, up } from "./harness/scenario";
import { firstMissing, startWriter } from "./harness/writer";

const minutes = (n: number) => n * 60_000;
const image = "/var/lib/netdisk/testdisk.img";
const path = testdisk.mount.path;
const GiB = 2 ** 30;

/** How the attachment is lost under the open mapping. */
const losses = {
  forward: '/opt/nbd/sbin/nbd-client -d "$(readlink -f /dev/netdisk/testdisk)" -nonetlink && sleep 5',
  session: "netdisk abort testdisk",
} as const;
let transport: keyof typeof losses;
const wish = (size: Size) => setDisks({ testdisk: { ...testdisk, transport, file: { size } } });
/** Bytes of the file, the device and the file system. */
async function sizes(): Promise<number[]> {
  const file = await on("server", `stat -c %s ${image}`);
  const device = await on("client", "blockdev --getsize64 /dev/netdisk/testdisk");
  const blocks = /^data .* blocks=(\d+),/m.exec(await on("client", "xfs_info /mnt/disk"))?.[1];
  return [Number(file), Number(device), Number(blocks) * 4096];
}

async function expectSize(bytes: number): Promise<void> {
  const [file, device, filesystem = 0] = await sizes();
  expect([file, device]).toEqual([bytes, bytes]);
  // The header's 16 MiB, and what is less than an allocation group.
  expect(bytes - filesystem).toBeLessThan(32 * 2 ** 20);
}

/** Runs `act` under fio and a writer; nobody may see an error, and nothing may be unmounted. */
async function underLoad(act: () => Promise<void>): Promise<void> {
  const before = await mountId(path);
  const file = `${path}/records-${Date.now()}`;
  const writer = startWriter(file);
  const fio = startFio(path);
  try {
    await until("both are at work", 180, async () => writer.acknowledged() >= 10 && fio.rounds() >= 1);
    await act();
    const [records, rounds] = [writer.acknowledged(), fio.rounds()];
    await until(
      "both go on",
      180,
      async () => writer.acknowledged() >= records + 10 && fio.rounds() >= rounds + 2,
    );
  } catch (error) {
    await Promise.all([writer.stop(), fio.abandon()]);
    throw error;
  }
  await writer.stop();
  await fio.stop();
  expect(writer.failure()).toBeUndefined();
  expect(await firstMissing(file, writer.acknowledged())).toBeUndefined();
  expect(await mountId(path)).toBe(before);
}

const target = (type: string) => {
  const urn = state().resources.find((resource) => resource.type === `netdisk:index:${type}`)?.urn ?? "";
  return ["--target", urn];
};

describe.each(["forward", "session"] as const)("growing, transport: %s", (way) => {
  beforeAll(async () => {
    await startMounted();
    await installFio();
    transport = way;
    wish(testdisk.file.size);
    await up();
    await mounted();
  }, minutes(15));

  it.each<[Size, number]>([
    ["1 GiB", GiB],
    ["2 GiB", 2 * GiB],
    ["4 GiB", 4 * GiB],
  ])(
    "to %s under fio and a writer: no error, nothing unmounted",
    async (size, bytes) => {
      await underLoad(async () => {
        wish(size);
        await up();
      });
      await expectSize(bytes);
      expect(await kernelErrors()).toBe("");
      await expectNoChanges();
    },
    minutes(8),
  );

  it(
    "is refused backwards, and the file stays as it is",
    async () => {
      wish("2 GiB");
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain('cannot change from "4 GiB" to "2 GiB". A disk only grows');
      await expectSize(4 * GiB);
    },
    minutes(3),
  );

  it(
    "is continued after each step at which a run ends, also when the attachment was lost meanwhile",
    async () => {
      const MiB = 2 ** 20;
      wish("4352 MiB");
      await up(...target("BackingFile"));
      expect((await sizes())[1]).toBe(4 * GiB);
      await underLoad(async () => {
        await up(...target("BackingFile"), ...target("Attachment"));
      });
      expect((await sizes())[1]).toBe(4352 * MiB);
      const preview = await pulumi(["preview", "--expect-no-changes"]);
      expect(preview.code, preview.output).not.toBe(0);
      expect(rowsOf(preview.output, "Filesystem", "testdisk").join("\n"), preview.output).toMatch(
        /\[diff: .*ize/,
      );
      await underLoad(async () => {
        await up();
      });
      await expectSize(4352 * MiB);
      await expectNoChanges();

      wish("4608 MiB");
      await up(...target("BackingFile"));
      await on("client", losses[transport]);
      await up();
      await mounted();
      await expectSize(4608 * MiB);
      await expectNoChanges();
    },
    minutes(10),
  );
});

describe("a volume of the server's", () => {
  const volume = "/dev/mapper/vault";
  const vault = { device: { path: volume }, mount: { path: "/mnt/vault" } };
  const table = (gib: number) => `'0 ${(gib * GiB) / 512} linear /dev/ubdb 0'`;
  const growTo = (gib: number) =>
    on("server", `dmsetup reload vault --table ${table(gib)} && dmsetup resume vault && udevadm settle`);
  const expectGrown = async (gib: number) => {
    await mounted(vault.mount.path);
    expect(await on("client", 'blockdev --getsize64 "$(readlink -f /dev/netdisk/vault)"')).toBe(
      String(gib * GiB),
    );
    const free = await on("client", "df --output=size -B1 /mnt/vault | tail -n 1");
    expect(gib * GiB - Number(free)).toBeLessThan(128 * 2 ** 20);
    expect(await on("client", "cat /mnt/vault/file")).toBe("kept");
    await expectNoChanges();
  };

  it(
    "that was grown there takes its disk with it, also where the client has booted in between",
    async () => {
      await on(
        "server",
        `apt-get install -y -q dmsetup && dmsetup create vault --uuid NETDISK-TEST-vault --table ${table(1)} && udevadm settle`,
      );
      const size = formatSize(Number(await on("server", `stat -c %s ${image}`)));
      setDisks({ testdisk: { ...testdisk, file: { size } }, vault });
      await up();
      await on("client", "echo kept >/mnt/vault/file && sync -f /mnt/vault");

      await growTo(2);
      expect(await up()).toContain(`${volume} has grown from 1 GiB to 2 GiB: so does the disk`);
      await expectGrown(2);

      await growTo(3);
      await lab("reboot", "client");
      await until("the client says what to do", 120, async () =>
        (await on("client", "journalctl -b -u netdisk-attach@vault.service -o cat")).includes(
          "this disk, grown on the server, which `pulumi up` takes over, or another one",
        ),
      );
      expect(await up()).toContain(`${volume} has grown from 2 GiB to 3 GiB: so does the disk`);
      await expectGrown(3);
    },
    minutes(15),
  );
});
