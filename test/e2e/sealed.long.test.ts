/**
 * A disk whose key is sealed by gpg: it waits for its passphrase after a boot and holds nothing else up, and is opened as
 * an operator would open it. Its key is nowhere in plain.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { bytesOn, lab, labName, mounted, on, tryOn } from "./harness/lab";
import { findIn, findInFile, needlesOf, type Needle } from "./harness/needles";
import { pulumi, setDisks, stateFile, testdisk, type Disk } from "./harness/project";
import { checkout, until } from "./harness/run";
import { expectNoChanges, ladder, startMounted, up } from "./harness/scenario";
import { startTrace, stopTrace } from "./harness/trace";

const minutes = (n: number) => n * 60_000;
const keyPassphrase = "passphrase of the sealed key";
const keyFile = "/etc/netdisk/vault-key.asc";
const vault: Disk = {
  file: { size: "320 MiB" },
  mount: { path: "/mnt/vault" },
  key: { gpg: keyFile, bytes: 4096 },
};
const target = "netdisk@vault.target";

/** Answers the question that is asked on the client, as an operator at a terminal does. */
const answer = (passphrase: string) =>
  on(
    "client",
    `file=$(grep -lx Id=netdisk:vault /run/systemd/ask-password/ask.*) &&
     exec /lib/systemd/systemd-reply-password 1 "$(sed -n s/^Socket=//p "$file")"`,
    passphrase,
  );

const asked = () =>
  until("the client asks for the passphrase", 120, async () => {
    return (await tryOn("client", "grep -qsx Id=netdisk:vault /run/systemd/ask-password/ask.*")).code === 0;
  });

const isMounted = async () => (await tryOn("client", "mountpoint -q /mnt/vault")).code === 0;

describe("a disk with a sealed key", () => {
  const step = ladder();
  let checksum = "";
  const readChecksum = () => on("client", "sha256sum /mnt/vault/data | cut -d' ' -f1");

  step(
    "is made beside one with a plain key, and no program gets key or passphrase as an argument",
    async () => {
      await startMounted();
      setDisks({ testdisk, vault });
      const set = ["config", "set", "--secret", "--path", "disks.vault.key.passphrase", keyPassphrase];
      const { code, output } = await pulumi(set);
      expect(code, output).toBe(0);
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
      const needles: Needle[] = [
        ...needlesOf("key", key.subarray(0, 64)),
        ...needlesOf("passphrase", Buffer.from(keyPassphrase)),
      ];
      expect(findIn(Buffer.from(argv, "latin1"), needles)).toEqual({});
      await on("client", "sync");
      const disk = join(checkout, ".lab", labName, "client.cow");
      expect(findInFile(disk, needlesOf("key", key.subarray(0, 64)))).toEqual({});
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
      await asked();
      expect(await isMounted()).toBe(false);
      await on("client", "systemctl is-active multi-user.target");
      await expectNoChanges();
      const { output } = await pulumi(["preview"]);
      expect(output).toContain("waits for its passphrase");
    },
    minutes(5),
  );

  step("a wrong passphrase opens nothing, and it asks again", async () => {
    await answer("not the passphrase");
    await until("the journal says so", 60, async () =>
      (await on("client", "journalctl -b -u netdisk-open@vault.service -o cat")).includes("does not open"),
    );
    await asked();
    expect(await isMounted()).toBe(false);
  });

  step("the operator's passphrase opens it, and nothing differs", async () => {
    await answer(keyPassphrase);
    await mounted("/mnt/vault");
    expect(await readChecksum()).toBe(checksum);
    await on("client", `systemctl is-active ${target}`);
    await expectNoChanges();
  });

  step(
    "after another boot pulumi up opens it",
    async () => {
      await lab("reboot", "client");
      await asked();
      await up();
      expect(await isMounted()).toBe(true);
      expect(await readChecksum()).toBe(checksum);
      await on("client", `systemctl is-active ${target}`);
      await expectNoChanges();
    },
    minutes(5),
  );

  step("stopped by hand, pulumi up starts it", async () => {
    await on("client", `systemctl stop ${target}`);
    await up();
    expect(await readChecksum()).toBe(checksum);
    await expectNoChanges();
  });
});
