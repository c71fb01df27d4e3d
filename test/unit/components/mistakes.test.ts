/** Mistakes in a program surface in the constructor, all at once, by the rules of the stack file. */
import * as pulumi from "@pulumi/pulumi";
import { beforeEach, describe, expect, it } from "vitest";
import * as netdisk from "../../../components";
import { recordRegistrations, settled, type Registration } from "./mocks";

let registrations: Registration[];
beforeEach(async () => {
  registrations = await recordRegistrations();
});

/** What the act throws; it registers nothing. TypeScript would see most of these: JavaScript and JSON come without it. */
async function refused(act: (wrong: (args: object) => never) => unknown): Promise<string[]> {
  const before = registrations.length;
  let message = "";
  try {
    act((args) => args as never);
  } catch (error) {
    expect(error, "no stack trace for the user's mistake").toBeInstanceOf(pulumi.RunError);
    message = (error as Error).message;
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(registrations.length, "nothing is registered").toBe(before);
  return message.split("\n");
}

const pair = {
  server: () => new netdisk.Server("backup", { host: "203.0.113.7" }),
  client: () => new netdisk.Client("nas", { connection: "local" }),
};

describe("a mistake in", () => {
  it("a resource's arguments", async () => {
    const args = { name: "Photos", pth: "/srv/x", size: "20 GB" };
    expect(await refused((wrong) => new netdisk.BackingFile("x", wrong(args)))).toEqual([
      'netdisk:index:BackingFile "x":',
      '  name: must start with a lower-case letter and hold only lower-case letters, digits and _ (at most 32) (found "Photos")',
      '  size: must be a whole number and a unit, such as "20 GiB" (units: B, KiB, MiB, GiB, TiB) (found "20 GB")',
      '  pth: unknown key; did you mean "path"?',
    ]);
  });

  it("a host's", async () => {
    expect(await refused(() => new netdisk.Client("nas", {}))).toEqual([
      'Client "nas":',
      "  host: is missing. Name the host, or say `connection: local` for the machine that runs Pulumi.",
    ]);
    const args = { host: "backup", prot: 22, privateKey: 12345 };
    expect(await refused((wrong) => new netdisk.Server("backup", wrong(args)))).toEqual([
      'Server "backup":',
      "  privateKey: must be text, in quotes where it looks like a number",
      '  prot: unknown key; did you mean "port"?',
      '  endpoint: is missing: "backup" may be an alias that only this machine knows. Say how the client dials the server: `endpoint: HOST:PORT`, such as 203.0.113.7:22.',
    ]);
  });

  it("a second component for one host, which would take everything there from the first", async () => {
    const at = (host: pulumi.Input<string>, port?: number) => ({
      host,
      endpoint: "203.0.113.9:22",
      ...(port !== undefined && { port }),
    });
    new netdisk.Server("one", at("rented"));
    new netdisk.Client("here", { connection: "local" });
    await settled();
    const text = (first: string) =>
      `is that of ${first} too. Make one for each host, and give that to all its disks.`;
    expect(await refused(() => new netdisk.Server("two", at("rented")))).toEqual([
      'Server "two":',
      `  host: ${text('Server "one"')}`,
    ]);
    expect(await refused(() => new netdisk.Client("there", { connection: "local" }))).toEqual([
      'Client "there":',
      `  connection: ${text('Client "here"')}`,
    ]);
    // Another port may be another host behind the same address; one host may be both; and some are not known yet.
    new netdisk.Server("two", at("rented", 2222));
    new netdisk.Client("two", { host: "rented" });
    new netdisk.Server("three", at(pulumi.output("rented")));
    await settled();
    // What another run made does not count.
    await recordRegistrations();
    new netdisk.Server("two", at("rented"));
    await settled();
  });

  it("a disk's, down to the last property, before its first resource is registered", async () => {
    const server = pair.server();
    const client = pair.client();
    await settled();
    const args = {
      server,
      client,
      recovery: { passphrase: "hunter2" },
      file: { size: "20 GB" },
      luks: { chiper: "aes" },
      mount: { path: "mnt", options: ["noatime", "a,b"] },
    };
    const lines = await refused((wrong) => new netdisk.EncryptedDisk("my-photos", wrong(args)));
    expect(lines).toEqual([
      'EncryptedDisk "my-photos":',
      '  file.size: must be a whole number and a unit, such as "20 GiB" (units: B, KiB, MiB, GiB, TiB) (found "20 GB")',
      '  luks.chiper: unknown key; did you mean "cipher"?',
      '  mount.path: must be an absolute path (found "mnt")',
      '  mount.options[1]: must be one option, without commas and blanks: give each an item of its own (found "a,b")',
      "  name: must start with a lower-case letter and hold only lower-case letters, digits and _ (at most 32). Rename the resource, or give it a `name`.",
      "  recovery.passphrase: must have at least 8 characters",
    ]);
  });

  it("a second disk on the same hosts, which has what is the first one's", async () => {
    const hosts = { server: pair.server(), client: pair.client() };
    const [client, server] = [pair.client(), pair.server()];
    const key = { gpg: "/etc/netdisk/key.asc", passphrase: "long enough" };
    const more = { recovery: "none", mount: { path: "/mnt/a" } } as const;
    new netdisk.EncryptedDisk("first", { ...hosts, ...more, key, file: { size: "1 GiB" } });
    await settled();
    const second = { ...hosts, ...more, key, file: { size: "1 GiB" } } as const;
    expect(await refused(() => new netdisk.EncryptedDisk("second", second))).toEqual([
      'EncryptedDisk "second":',
      '  mount.path: is that of EncryptedDisk "first" too. Give each disk its own.',
      '  key.gpg: is that of EncryptedDisk "first" too. Give each disk its own.',
    ]);
    const path = "/var/lib/netdisk/first.img";
    const third = { ...second, client, file: { size: "1 GiB", path } as const };
    expect(await refused(() => new netdisk.EncryptedDisk("third", third))).toEqual([
      'EncryptedDisk "third":',
      '  file.path: is that of EncryptedDisk "first" too. Give each disk its own.',
    ]);
    // Elsewhere it is another file; and what was refused has taken nothing.
    new netdisk.EncryptedDisk("third", { ...second, server, client });
    await settled();
  });

  it("a disk's: an output, where the program itself decides by the value", async () => {
    const hosts = { server: pair.server(), client: pair.client() };
    await settled();
    const args = {
      ...hosts,
      name: pulumi.output("photos"),
      transport: pulumi.output("session"),
      recovery: "none",
      file: { size: pulumi.output("1 GiB"), loop: Promise.resolve(false) },
      mount: pulumi.output({ path: "/mnt/photos" }),
    };
    const lines = await refused((wrong) => new netdisk.EncryptedDisk("photos", wrong(args)));
    expect(lines.map((line) => line.replace(/: which resources.*/, ""))).toEqual([
      'EncryptedDisk "photos":',
      "  name: must not be an output",
      "  transport: must not be an output",
      "  mount: must not be an output",
      "  file.loop: must not be an output",
    ]);
  });

  it("a disk without anything", async () => {
    expect(await refused((wrong) => new netdisk.EncryptedDisk("photos", wrong({})))).toEqual([
      'EncryptedDisk "photos":',
      "  mount: is missing, such as `mount: { path: /mnt/disk }`",
      "  server: is missing. Give it the Server.",
      "  client: is missing. Give it the Client.",
      '  recovery: must be "none" or hold a `passphrase`',
      "  file: is missing, such as `file: { size: 20 GiB }`, or `device: { path: /dev/disk/by-id/wwn-0x5000c500a1b2c3d4 }`",
    ]);
  });
});

describe("a value that is not known yet", () => {
  it("is left to the provider, wherever it lies", async () => {
    const later = <T>(value: T) => pulumi.output(value);
    new netdisk.BackingFile("x", { name: "x", path: later("not/absolute"), size: "1 GiB" });
    new netdisk.EncryptedDisk("photos", {
      server: new netdisk.Server("backup", { host: later("203.0.113.7"), user: later("root") }),
      client: new netdisk.Client("nas", { connection: later("local") as never }),
      recovery: { passphrase: later("x") },
      file: { size: Promise.resolve("20 GB") as never },
      mount: { path: later("/mnt/photos"), options: ["noatime", later("nodev") as never] },
    });
    await settled();
    expect(registrations.length).toBeGreaterThan(20);
  });
});
