/**
 * A disk whose key is sealed by gpg: it waits for its passphrase after a boot and holds nothing else up, and is opened as
 * an operator would open it. Its key is nowhere in plain.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import type { Size } from "../../schema/size";
import { bytesOn, lab, labName, mounted, on, startOn, tryOn } from "./harness/lab";
import { findIn, findInFile, needlesOf, type Needle } from "./harness/needles";
import { answer, asked } from "./harness/passphrase";
import { pulumi, setDisks, stateFile, testdisk, type Disk } from "./harness/project";
import { checkout, until } from "./harness/run";
import { expectNoChanges, ladder, startMounted, up } from "./harness/scenario";
import { startTrace, stopTrace } from "./harness/trace";

const minutes = (n: number) => n * 60_000;
const keyPassphrase = "passphrase of the sealed key";
const keyFile = "/etc/netdisk/vault-key.asc";
const planted = "planted-word-that-every-search-must-find";

/** Describes the disk with this size, its passphrase encrypted as in every stack file. */
async function wish(size: Size): Promise<void> {
  const vault: Disk = { file: { size }, mount: { path: "/mnt/vault" }, key: { gpg: keyFile, bytes: 4096 } };
  setDisks({ testdisk, vault });
  const { code, output } = await pulumi([
    ...["config", "set", "--secret", "--path", "disks.vault.key.passphrase"],
    keyPassphrase,
  ]);
  expect(code, output).toBe(0);
}
const target = "netdisk@vault.target";

const vaultIsMounted = async () => (await tryOn("client", "mountpoint -q /mnt/vault")).code === 0;

describe("a disk with a sealed key", () => {
  const step = ladder();
  let checksum = "";
  let needles: Needle[] = [];
  const readChecksum = () => on("client", "sha256sum /mnt/vault/data | cut -d' ' -f1");

  step(
    "is made beside one with a plain key, and no program gets key or passphrase as an argument",
    async () => {
      await startMounted();
      await wish("320 MiB");
      await startTrace("client");
      await up();
      await mounted("/mnt/vault");
      const argv = (await stopTrace("client")).join("\n");
      expect(argv).toContain("cryptsetup luksFormat");
      const key = await bytesOn(
        "client",
        `h=$(mktemp -d) && echo '${keyPassphrase}' | gpg --homedir $h --batch --pinentry-mode loopback --passphrase-fd 0 -d ${keyFile}; rm -r $h`,
      );
      expect(key.length).toBe(4096);
      needles = [
        ...needlesOf("key", key.subarray(0, 64)),
        ...needlesOf("passphrase", Buffer.from(keyPassphrase)),
      ];
      expect(findIn(Buffer.from(argv, "latin1"), needles)).toEqual({});
      expect(findIn(readFileSync(stateFile()), needles)).toEqual({});
      await on("client", "head -c 8M /dev/urandom > /mnt/vault/data && sync -f /mnt/vault/data");
      checksum = await readChecksum();
      await expectNoChanges();
    },
    minutes(15),
  );

  step(
    "after a boot it waits, the other disk is there, and nothing differs",
    async () => {
      await lab("reboot", "client");
      await mounted();
      await asked("vault");
      expect(await vaultIsMounted()).toBe(false);
      await on("client", "systemctl is-active multi-user.target");
      await expectNoChanges();
      const { output } = await pulumi(["preview"]);
      expect(output).toContain("waits for its passphrase");
    },
    minutes(10),
  );

  step("a wrong passphrase opens nothing, and it asks again", async () => {
    await answer("vault", "not the passphrase");
    await until("the journal says so", 60, async () =>
      (await on("client", "journalctl -b -u netdisk-open@vault.service -o cat")).includes("does not open"),
    );
    await asked("vault");
    expect(await vaultIsMounted()).toBe(false);
  });

  step("the operator's passphrase opens it, and nothing differs", async () => {
    await answer("vault", keyPassphrase);
    await mounted("/mnt/vault");
    expect(await readChecksum()).toBe(checksum);
    await on("client", `systemctl is-active ${target}`);
    await expectNoChanges();
  });

  step(
    "after another boot pulumi up opens it",
    async () => {
      await lab("reboot", "client");
      await asked("vault");
      await up();
      expect(await vaultIsMounted()).toBe(true);
      expect(await readChecksum()).toBe(checksum);
      await on("client", `systemctl is-active ${target}`);
      await expectNoChanges();
    },
    minutes(10),
  );

  step("stopped by hand, pulumi up starts it", async () => {
    await on("client", `systemctl stop ${target}`);
    await up();
    expect(await readChecksum()).toBe(checksum);
    await expectNoChanges();
  });

  /** Bytes of the device, and MiB of the file system. */
  const expectSize = async (MiB: number) => {
    expect(await on("client", "blockdev --getsize64 /dev/netdisk/vault")).toBe(String(MiB * 2 ** 20));
    // Less the header, the log and what else XFS keeps for itself.
    expect(Number(await on("client", "df --output=size -B1M /mnt/vault | tail -1"))).toBeGreaterThan(
      MiB - 100,
    );
  };

  step("in use, it is not closed to grow: the run names the user, and the disk is as it was", async () => {
    await wish("384 MiB");
    const user = startOn("client", "cd /mnt/vault && exec sleep 600");
    const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
    expect(code, output).not.toBe(0);
    expect(output).toMatch(
      /the disk vault is in use, and left as it was:[^]*sleep[^]*then run the same again/,
    );
    expect(await vaultIsMounted()).toBe(true);
    expect(await readChecksum()).toBe(checksum);
    await on("client", "kill $(pidof sleep)");
    await user.ended;
  });

  step("when nobody uses it any more, the same run closes it, and opens it larger", async () => {
    await up();
    await expectSize(384);
    expect(await readChecksum()).toBe(checksum);
    await expectNoChanges();
  });

  step(
    "while it waits for its passphrase, it grows as well",
    async () => {
      await wish("448 MiB");
      await lab("reboot", "client");
      await asked("vault");
      await up();
      await expectSize(448);
      expect(await readChecksum()).toBe(checksum);
      await expectNoChanges();
    },
    minutes(10),
  );

  step("neither key nor passphrase is left anywhere in plain", async () => {
    await on("client", `logger ${planted}; echo ${planted} | tee /run/planted >/tmp/planted; sync`);
    const all = [...needles, { name: "planted", bytes: Buffer.from(planted) }];
    const onlyPlanted = { planted: expect.any(Number) as number };
    expect(findIn(await bytesOn("client", "journalctl --no-pager -o export"), all)).toEqual(onlyPlanted);
    const files = await bytesOn("client", "tar -c /tmp /run /var/tmp 2>/dev/null; test $? -le 1");
    expect(findIn(files, all)).toEqual(onlyPlanted);
    expect(findInFile(join(checkout, ".lab", labName, "client.cow"), all)).toEqual(onlyPlanted);
  });
});
