/** The Pulumi resource of a disk gets another name: the disk stays mounted, and somebody writes to it throughout. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { on } from "./harness/lab";
import { config, passphrase, projectDir, setDisks, state, testdisk, writeProject } from "./harness/project";
import { checkout, until } from "./harness/run";
import { expectNoChanges, startMounted, up } from "./harness/scenario";
import { firstMissing, startWriter } from "./harness/writer";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

const diskUrns = () =>
  state()
    .resources.map(({ urn }) => urn)
    .filter((urn) => urn.includes("EncryptedDisk"));

/** Runs `act` while somebody writes; the disk must not be unmounted for a moment. */
async function whileWriting(act: () => Promise<unknown>): Promise<void> {
  const file = `/mnt/disk/records-${Date.now()}`;
  // The mount's id changes with every mount.
  const mountId = () => on("client", "findmnt -n -o ID /mnt/disk");
  const before = await mountId();
  const writer = startWriter(file);
  await until("10 records are acknowledged", 60, async () => writer.acknowledged() >= 10);
  await act();
  const during = writer.acknowledged();
  await until("writing goes on", 60, async () => writer.acknowledged() >= during + 10);
  await writer.stop();
  expect(writer.failure()).toBeUndefined();
  expect(await mountId()).toBe(before);
  expect(await firstMissing(file, writer.acknowledged())).toBeUndefined();
}

/** A program of the user's own over the library. */
const program = (resourceName: string, alias: string): string => `
const netdisk = require(${JSON.stringify(join(checkout, "dist/components"))});
const server = new netdisk.Server("server", ${JSON.stringify(config.server)});
const client = new netdisk.Client("client", ${JSON.stringify(config.client)});
new netdisk.EncryptedDisk(${JSON.stringify(resourceName)}, {
  server, client,
  name: "testdisk",
  recovery: { passphrase: ${JSON.stringify(passphrase)} },
  file: ${JSON.stringify(testdisk.file)},
  mount: ${JSON.stringify(testdisk.mount)},
  transport: ${JSON.stringify(testdisk.transport)},
}, { aliases: [{ name: ${JSON.stringify(alias)} }] });
`;

describe("a renamed disk stays mounted", () => {
  it(
    "without an alias",
    async () => {
      await whileWriting(async () => {
        setDisks({ pictures: { ...testdisk, name: "testdisk" } });
        const output = await up();
        expect(output).toMatch(/created/);
        expect(output).toMatch(/deleted/);
      });
      expect(diskUrns()).not.toHaveLength(0);
      expect(diskUrns().filter((urn) => !urn.endsWith("::pictures"))).toEqual([]);
      await expectNoChanges();
    },
    minutes(5),
  );

  it(
    "with an alias",
    async () => {
      await whileWriting(async () => {
        writeFileSync(join(projectDir, "index.js"), program("album", "pictures"));
        writeProject("index.js");
        const output = await up();
        expect(output).not.toMatch(/created|deleted|replaced/);
      });
      expect(diskUrns()).not.toHaveLength(0);
      expect(diskUrns().filter((urn) => !urn.endsWith("::album"))).toEqual([]);
      await expectNoChanges();
    },
    minutes(5),
  );
});
