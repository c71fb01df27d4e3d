/** What the components register with the engine; proves wiring, not what the resources do. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as pulumi from "@pulumi/pulumi";
import * as netdisk from "../../../components";
import { isMarkedSecret, recordRegistrations, settled, valueOf, type Registration } from "./mocks";

const passphrase = "correct horse battery staple";

afterEach(settled);

function hostPair() {
  const server = new netdisk.Server("backup", { host: "203.0.113.7", privateKey: "PRIVATE KEY" });
  const client = new netdisk.Client("nas", { connection: "local", nbd: { ref: "nbd-3.27.1" } });
  return { server, client };
}

function disk(args: Partial<netdisk.EncryptedDiskArgs> = {}, name = "photos") {
  return new netdisk.EncryptedDisk(name, {
    ...hostPair(),
    recovery: { passphrase },
    file: { size: "20 GiB" },
    mount: { path: "/mnt/photos" },
    ...args,
  });
}

const short = ({ type, name, on }: Registration) =>
  [type.replace("netdisk:index:", ""), name, ...(on ? [`on ${on}`] : [])].join(" ");

const inputsOf = (registrations: Registration[], type: string) =>
  registrations.find((it) => it.type === `netdisk:index:${type}`)!.inputs;

describe("a disk", () => {
  let registrations: Registration[];
  beforeEach(async () => (registrations = await recordRegistrations()));

  it.each([
    ["session", "Session"],
    ["forward", "Tunnel"],
  ] as const)("goes through the server's jump host, whose key is pinned, by %s", async (transport, type) => {
    const way = { endpoint: "198.51.100.4:22", user: "gate", identityFile: "/root/.ssh/gate" };
    const hostKey = "ssh-ed25519 AAAA";
    const server = new netdisk.Server("vault", { host: "203.0.113.8", jump: { ...way, hostKey } });
    disk({ server, transport });
    await settled();
    expect(inputsOf(registrations, "KnownHost")).toMatchObject({
      endpoint: "203.0.113.8:22",
      jumps: { [way.endpoint]: hostKey },
    });
    expect(inputsOf(registrations, type)).toMatchObject({ endpoint: "203.0.113.8:22", jump: way });
  });

  it("that says nothing has a session: no port, no tunnel, and the plugin once for all disks", async () => {
    disk();
    await settled();
    const types = registrations.map(({ type }) => type.replace("netdisk:index:", ""));
    expect(types.filter((type) => /^(Serve|Session|SessionPlugin)$/.test(type)).sort()).toEqual([
      "Serve",
      "Session",
      "SessionPlugin",
    ]);
    expect(types).not.toContain("Tunnel");
    expect(types).not.toContain("Export");
    expect(types).not.toContain("AuthorizedKey");
    for (const type of ["Attachment", "Mount", "DiskTarget"])
      expect(inputsOf(registrations, type)).toMatchObject({ transport: "session" });
  });

  it("keeps the secrets of a connection secret", async () => {
    const secrets = { privateKey: "KEY", keyPassphrase: "key phrase", sudoPassword: "sudo phrase" };
    new netdisk.Server("vault", { host: "203.0.113.7", ...secrets });
    await settled();
    const { inputs } = registrations.find(({ type }) => type === "pulumi:providers:netdisk")!;
    for (const key of Object.keys(secrets)) expect(isMarkedSecret(inputs[key]), key).toBe(true);
  });

  it("registers exactly the article's steps, each on its host", async () => {
    disk({ transport: "forward" });
    await settled();
    expect(registrations.map(short).sort()).toEqual(
      [
        "Server backup",
        "pulumi:providers:netdisk backup",
        "HostKey backup on backup",
        "Packages backup on backup",
        "ServerConfig backup on backup",
        "AuthFile backup on backup",
        "Service backup on backup",
        "Client nas",
        "pulumi:providers:netdisk nas",
        "Packages nas on nas",
        "SourceBuild nas on nas",
        "KernelModule nas on nas",
        "ProbeGuard nas on nas",
        "EncryptedDisk photos",
        "BackingFile photos on backup",
        "Export photos on backup",
        "TunnelKey photos on nas",
        "AuthorizedKey photos on backup",
        "KnownHost photos on nas",
        "Tunnel photos on nas",
        "Attachment photos on nas",
        "LuksKey photos on nas",
        "Luks photos on nas",
        "Recovery photos on nas",
        "Mapping photos on nas",
        "Filesystem photos on nas",
        "Mount photos on nas",
        "DiskTarget photos on nas",
      ].sort(),
    );
  });

  it("registers an order to erase it on both hosts, only where one is given", async () => {
    const luksUuid = "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11";
    disk({ erase: luksUuid });
    await settled();
    expect(registrations.map(short)).toEqual(
      expect.arrayContaining(["Erase photos on nas", "EraseFile photos on backup"]),
    );
    expect(inputsOf(registrations, "Erase")).toMatchObject({ name: "photos", luksUuid });
    expect(inputsOf(registrations, "EraseFile")).toMatchObject({
      luksUuid,
      path: "/var/lib/netdisk/photos.img",
    });
  });

  it("hands the order to adopt it to what holds its data, key and header, and to nothing else", async () => {
    const luksUuid = "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11";
    disk({ adopt: luksUuid });
    await settled();
    const told = registrations.filter(({ inputs }) => (inputs as { adopt?: string }).adopt === luksUuid);
    expect(told.map(short).sort()).toEqual([
      "BackingFile photos on backup",
      "Luks photos on nas",
      "LuksKey photos on nas",
    ]);
  });

  it("hands on what the step before found, not what somebody hopes", async () => {
    disk({ transport: "forward" });
    await settled();
    expect(inputsOf(registrations, "Export")).toEqual({
      name: "photos",
      exportName: "/var/lib/netdisk/photos.img",
      authFile: "/etc/nbd-server/allow",
    });
    expect(inputsOf(registrations, "KnownHost")).toEqual({
      name: "photos",
      endpoint: "203.0.113.7:22",
      publicKey: "host-key.publicKey",
    });
    expect(inputsOf(registrations, "AuthorizedKey")).toMatchObject({ publicKey: "tunnel-key.publicKey" });
    expect(inputsOf(registrations, "Tunnel")).toMatchObject({ user: "netdisk", remote: "127.0.0.1:10809" });
    expect(inputsOf(registrations, "Attachment")).toEqual({
      name: "photos",
      transport: "forward",
      client: "source-build.client",
      size: "20 GiB",
      revision: "export.revision",
    });
    expect(inputsOf(registrations, "Luks")).toEqual({
      name: "photos",
      device: "attachment.device",
      keyFile: "luks-key.path",
    });
    expect(inputsOf(registrations, "Mapping")).toEqual({
      name: "photos",
      device: "attachment.device",
      keyFile: "luks-key.path",
      keyReading: "luks.keyReading",
      header: "luks.header",
      luksUuid: "luks.uuid",
      cipher: "aes-xts-plain64",
    });
    expect(inputsOf(registrations, "Filesystem")).toEqual({
      name: "photos",
      device: "mapping.mapped",
      rawDevice: "attachment.device",
      rawOffset: "luks.offset",
      rawSize: "20 GiB",
    });
    expect(inputsOf(registrations, "Mount")).toEqual({
      name: "photos",
      transport: "forward",
      device: "mapping.mapped",
      type: "xfs",
      filesystemUuid: "filesystem.uuid",
      path: "/mnt/photos",
    });
  });

  it("fits read-ahead and what is retained to the link where that is wished", async () => {
    disk({ readAhead: 16384, retain: "128 MiB" });
    await settled();
    expect(inputsOf(registrations, "Attachment")).toMatchObject({ readAhead: 16384 });
    expect(inputsOf(registrations, "Session")).toMatchObject({ retain: "128 MiB" });
  });

  it("gives LUKS1 and twofish the defaults that go with them, also where the choice is an output", async () => {
    disk({
      luks: { type: pulumi.output("luks1" as const), cipher: "twofish-cbc-essiv:sha256", iterTime: 5000 },
    });
    await settled();
    expect(inputsOf(registrations, "Luks")).toMatchObject({
      type: "luks1",
      keySize: 256,
      pbkdf: "pbkdf2",
      sectorSize: 512,
      iterTime: 5000,
    });
  });

  it("serves a loop device over the file where that is wished", async () => {
    disk({ file: { size: "20 GiB", loop: true } });
    await settled();
    expect(registrations.map(short)).toContain("LoopDevice photos on backup");
    expect(inputsOf(registrations, "LoopDevice")).toEqual({
      name: "photos",
      file: "/var/lib/netdisk/photos.img",
      size: "20 GiB",
      owner: "nbd",
    });
    expect(inputsOf(registrations, "Serve").exportName).toBe("loop-device.device");
    expect(inputsOf(registrations, "Attachment").size).toBe("20 GiB");
    // Of the two, this is the one that is there whatever is wished: there a change is refused.
    expect(inputsOf(registrations, "BackingFile").loop).toBe(true);
  });

  it("serves a real disk where one is named", async () => {
    disk({ file: undefined, device: { path: "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4" } });
    await settled();
    expect(registrations.map(short)).toContain("BlockDevice photos on backup");
    expect(registrations.map(short)).not.toContain("BackingFile photos on backup");
    expect(inputsOf(registrations, "Serve").exportName).toBe("/dev/disk/by-id/wwn-0x5000c500a1b2c3d4");
    expect(inputsOf(registrations, "Attachment").size).toBe("block-device.size");
  });

  it("marks passphrase, private key and recovery blob as secret", async () => {
    const made = disk();
    await settled();
    expect(isMarkedSecret(inputsOf(registrations, "Recovery").passphrase)).toBe(true);
    const provider = registrations.find(
      ({ type, name }) => type === "pulumi:providers:netdisk" && name === "backup",
    );
    expect(isMarkedSecret(provider!.inputs.privateKey)).toBe(true);
    expect(await pulumi.isSecret(made.recovery!)).toBe(true);
    expect(await pulumi.isSecret(made.luksUuid)).toBe(false);
    expect(JSON.stringify(registrations).split(passphrase)).toHaveLength(2);
  });

  it("keeps its name on the hosts when the Pulumi resource has another", async () => {
    disk({ name: "pictures", transport: "forward" });
    await settled();
    const ofDisk = registrations.filter(
      ({ name, type }) => name === "photos" && !type.endsWith("EncryptedDisk"),
    );
    expect(ofDisk).toHaveLength(14);
    expect(new Set(ofDisk.map(({ inputs }) => inputs.name))).toEqual(new Set(["pictures"]));
    expect(inputsOf(registrations, "BackingFile").path).toBe("/var/lib/netdisk/pictures.img");
  });

  it("has no Recovery with recovery: none", async () => {
    const made = disk({ recovery: "none" });
    await settled();
    expect(made.recovery).toBeUndefined();
    expect(registrations.map(({ type }) => type)).not.toContain("netdisk:index:Recovery");
  });

  it("gives its outputs", async () => {
    const made = disk();
    expect(await valueOf(made.mountPath)).toBe("/mnt/photos");
    expect(await valueOf(made.luksUuid)).toBe("luks.uuid");
    expect(await valueOf(made.unit)).toBe("disk-target.unit");
    expect(await valueOf(made.device)).toBe("attachment.device");
  });
});

describe("a preview", () => {
  it("registers the same resources, with unknowns where the host has yet to answer", async () => {
    const registrations = await recordRegistrations({ preview: true });
    disk({ transport: "forward" });
    await settled();
    expect(registrations).toHaveLength(28);
    expect(inputsOf(registrations, "Luks")).toMatchObject({ name: "photos" });
    expect(inputsOf(registrations, "Luks").device).not.toBe("attachment.device");
  });
});

describe("on a client without packages", () => {
  it("a plain key is made at once, a sealed one when gpg is there", async () => {
    let install = (): void => undefined;
    const until = new Promise<void>((resolve) => (install = resolve));
    const registrations = await recordRegistrations({ held: "netdisk:index:Packages", until });
    const hosts = hostPair();
    const key = { gpg: "/etc/netdisk/vault-key.asc", passphrase };
    disk({ ...hosts, key, mount: { path: "/mnt/vault" } }, "vault");
    disk(hosts);
    const made = () => registrations.map(short).filter((it) => it.startsWith("LuksKey"));
    await vi.waitFor(() => {
      expect(made()).toContain("LuksKey photos on nas");
    });
    expect(made()).not.toContain("LuksKey vault on nas");
    install();
    await settled();
    expect(made()).toContain("LuksKey vault on nas");
  });
});
