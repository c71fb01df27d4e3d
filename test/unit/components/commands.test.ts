/** The user's own commands: what the command provider is told, when it runs them, and which hosts it cannot reach. */
import { beforeEach, describe, expect, it } from "vitest";
import * as pulumi from "@pulumi/pulumi";
import * as netdisk from "../../../components";
import { isMarkedSecret, recordRegistrations, settled, type Registration } from "./mocks";

const file = { size: "1 GiB" } as const;
const mount = { path: "/mnt/photos" };
const hostKey = "host-key.publicKey";

let registrations: Registration[];
beforeEach(async () => (registrations = await recordRegistrations()));

const commands = () => registrations.filter(({ type }) => type.startsWith("command:"));
const named = (name: string) => commands().find((it) => it.name === name);

const remote = () => ({
  server: new netdisk.Server("backup", { host: "203.0.113.7", port: 2222, user: "admin", privateKey: "KEY" }),
  client: new netdisk.Client("nas", { host: "nas.lan", user: "root" }),
});

const disk = (args: Partial<netdisk.EncryptedDiskArgs>) =>
  new netdisk.EncryptedDisk("photos", { ...remote(), recovery: "none", file, mount, ...args });

describe("the commands of a disk", () => {
  it("are none where none is wished, and neither is the client's host key read", async () => {
    disk({});
    await settled();
    expect(commands()).toEqual([]);
    expect(registrations.filter(({ type, on }) => type.endsWith(":HostKey") && on === "nas")).toEqual([]);
  });

  it("go by the connection of their host, whose key is the one that netdisk has verified", async () => {
    disk({ afterUp: { server: "logger up" }, beforeDown: { client: "logger down" } });
    await settled();
    expect(commands().map(({ type, name }) => `${type} ${name}`)).toEqual([
      "command:remote:Command photos-before-down-client",
      "command:remote:Command photos-after-up-server",
    ]);
    const { connection, ...up } = named("photos-after-up-server")!.inputs;
    expect(up).toEqual({
      create: "logger up",
      update: "true",
      triggers: ["logger up", hostKey],
      addPreviousOutputInEnv: false,
    });
    const secret = connection as { value: Record<string, unknown> };
    expect(isMarkedSecret(connection)).toBe(true);
    expect(secret.value).toMatchObject({ host: "203.0.113.7", port: 2222, user: "admin", hostKey });
    expect(JSON.stringify(secret.value.privateKey)).toContain("KEY");
  });

  it("run nothing at a change of what comes before the disk goes", async () => {
    disk({ beforeDown: { client: "logger down" } });
    await settled();
    const { connection: _, ...down } = named("photos-before-down-client")!.inputs;
    expect(down).toEqual({ delete: "logger down", addPreviousOutputInEnv: false });
  });

  it("run here where the client is this machine", async () => {
    const client = new netdisk.Client("here", { connection: "local" });
    disk({ client, afterUp: { client: "logger up" } });
    await settled();
    expect(commands().map(({ type, name }) => `${type} ${name}`)).toEqual([
      "command:local:Command photos-after-up-client",
    ]);
    expect(named("photos-after-up-client")!.inputs).toMatchObject({ create: "logger up" });
  });

  it("may be outputs of other resources, as the hosts may", async () => {
    const later = <T>(value: T) => pulumi.output(value);
    const client = new netdisk.Client("later", { host: later("nas"), user: later("root") });
    disk({ client, afterUp: { client: later("logger up") } });
    await settled();
    expect(named("photos-after-up-client")!.inputs).toMatchObject({ create: "logger up" });
  });
});

describe("the order", () => {
  it("after the disk is complete; so a destroy, which goes backwards, has them before", async () => {
    let mounted = (): void => undefined;
    const until = new Promise<void>((resolve) => (mounted = resolve));
    registrations = await recordRegistrations({ held: "netdisk:index:DiskTarget", until });
    disk({ afterUp: { client: "logger up" }, beforeDown: { server: "logger down" } });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(registrations.map(({ type }) => type)).toContain("netdisk:index:DiskTarget");
    expect(commands()).toEqual([]);
    mounted();
    await settled();
    expect(commands()).toHaveLength(2);
  });
});

describe("a host that the command provider cannot reach as netdisk does", () => {
  const refused = (args: Partial<netdisk.EncryptedDiskArgs>): string[] => {
    try {
      disk(args);
    } catch (error) {
      return (error as Error).message.split("\n");
    }
    throw new Error("nothing was refused");
  };

  it("is refused with every reason", async () => {
    const server = new netdisk.Server("alias", { host: "backup", endpoint: "203.0.113.7:22" });
    const client = new netdisk.Client("filed", { host: "filed.lan", user: "me", identityFile: "~/.ssh/key" });
    const lines = refused({ server, client, afterUp: { server: "true" }, beforeDown: { client: "true" } });
    expect(lines).toEqual([
      'EncryptedDisk "photos":',
      "  afterUp.server: is run by @pulumi/command, and it reads no ssh_config: no alias, no ProxyJump, no IdentityFile of it applies. Give server.host an address or a full name.",
      "  afterUp.server: is run by @pulumi/command, and it does not know as whom to log in. Name the login in server.user.",
      "  beforeDown.client: is run by @pulumi/command, and it reads no client.identityFile. Give the key itself in client.privateKey, or load it into ssh-agent and remove identityFile.",
    ]);
    await settled();
  });

  it("is nobody's business while there is no command for it", async () => {
    const server = new netdisk.Server("alias", { host: "backup", endpoint: "203.0.113.7:22" });
    disk({ server, afterUp: { client: "true" } });
    await settled();
    expect(commands()).toHaveLength(1);
  });
});
