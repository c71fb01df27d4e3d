/** Construct: the components for programs in YAML and other languages, against an engine that only takes notes. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import * as pb from "@pulumi/pulumi/proto/provider_pb";
import { ResourceMonitorService } from "@pulumi/pulumi/proto/resource_grpc_pb";
import * as monitor from "@pulumi/pulumi/proto/resource_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { decode, encode, type Properties } from "../../provider/wire/values";
import { components } from "../../schema/components";
import type { Definition } from "../../schema/define";
import { definitions } from "../../schema/index";
import { Secret } from "../../schema/secret";
import { engine } from "./client";

// Two processes start, and one of them loads the whole SDK.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const root = join(__dirname, "../..");
let provider: ChildProcess;
let client: ReturnType<typeof engine>;
let server: Server;
let address: string;
const registered: { urn: string; type: string; inputs: Properties }[] = [];

const registerResource: handleUnaryCall<monitor.RegisterResourceRequest, monitor.RegisterResourceResponse> = (
  { request },
  done,
) => {
  const type = request.getType();
  const urn = `urn:pulumi:dev::home::${type}::${request.getName()}`;
  const inputs = decode(request.getObject());
  registered.push({ urn, type, inputs });
  const response = new monitor.RegisterResourceResponse();
  response.setUrn(urn);
  response.setId(request.getCustom() ? "id" : "");
  const kind = Object.values<Definition>(definitions).find(({ token }) => token === type);
  const outputs: Properties = Object.fromEntries(
    Object.keys(kind?.outputs ?? {}).map((key) => [key, `the ${key}`]),
  );
  response.setObject(encode({ ...inputs, ...outputs }));
  done(null, response);
};

/** Keys of what components say that they came to, by URN. */
const came = new Map<string, string[]>();

const registerResourceOutputs: handleUnaryCall<monitor.RegisterResourceOutputsRequest, Empty> = (
  { request },
  done,
) => {
  came.set(request.getUrn(), Object.keys(decode(request.getOutputs())).sort());
  done(null, new Empty());
};

const supportsFeature: handleUnaryCall<monitor.SupportsFeatureRequest, monitor.SupportsFeatureResponse> = (
  _,
  done,
) => {
  const response = new monitor.SupportsFeatureResponse();
  response.setHassupport(true);
  done(null, response);
};

const nothing: handleUnaryCall<unknown, Empty> = (_, done) => done(null, new Empty());

beforeAll(async () => {
  server = new Server();
  const all = (service: object) =>
    Object.fromEntries(
      Object.keys(service).map((method) => [method, nothing]),
    ) as UntypedServiceImplementation;
  server.addService(EngineService, all(EngineService));
  server.addService(ResourceMonitorService, {
    ...all(ResourceMonitorService),
    registerResource,
    registerResourceOutputs,
    supportsFeature,
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  address = `127.0.0.1:${port}`;
  provider = spawn(join(root, "provider/pulumi-resource-netdisk"), [address], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  client = await new Promise((resolve) =>
    provider.stdout!.once("data", (chunk: Buffer) => resolve(engine(Number(chunk.toString().trim())))),
  );
});

afterAll(() => {
  client.client.close();
  provider.kill("SIGINT");
  server.forceShutdown();
});

async function construct(
  kind: string,
  name: string,
  inputs: Properties,
): Promise<{ urn: string; state: Properties }> {
  const request = new pb.ConstructRequest();
  request.setProject("home");
  request.setStack("dev");
  request.setParallel(4);
  request.setMonitorendpoint(address);
  request.setType(`netdisk:index:${kind}`);
  request.setName(name);
  request.setInputs(encode(inputs));
  const response = await new Promise<pb.ConstructResponse>((resolve, reject) =>
    client.client.construct(request, (error, answer) =>
      error ? reject(new Error(error.details)) : resolve(answer),
    ),
  );
  const made = { urn: response.getUrn(), state: decode(response.getState()) };
  // Programs in other languages get the one, the engine keeps the other, and the schema promises both.
  const promised = Object.keys(components[kind]!.outputs).sort();
  expect(Object.keys(made.state).sort()).toEqual(promised);
  await expect.poll(() => came.get(made.urn)).toEqual(promised);
  return made;
}

/** A resource as the engine hands it on. */
const reference = (urn: string) => ({
  "4dabf18193072939515e22adb298388d": "5cf8f73096256a8f31e491e813e4eb8e",
  urn,
  packageVersion: "",
});

const kinds = () => registered.map(({ type }) => type.replace("netdisk:index:", ""));

it("the provider that the engine starts by itself needs no host", async () => {
  const { failures } = await client.checkConfig({});
  expect(failures).toEqual([]);
});

it("makes hosts and a disk, which is told its hosts as references", async () => {
  const backup = await construct("Server", "backup", { host: "203.0.113.7" });
  expect(backup.state).toMatchObject({ endpoint: "203.0.113.7:22" });
  const nas = await construct("Client", "nas", { connection: "local", nbd: { ref: "nbd-3.27.1" } });
  expect(nas.state).toEqual({ nbdCommit: "the commit" });
  expect(registered.find(({ type }) => type.endsWith(":SourceBuild"))?.inputs).toEqual({ ref: "nbd-3.27.1" });
  const second = construct("Client", "here", { connection: "local" });
  await expect(second).rejects.toThrow(/connection: is that of Client "nas" too/);
  const before = registered.length;
  const disk = await construct("EncryptedDisk", "photos", {
    server: reference(backup.urn),
    client: reference(nas.urn),
    recovery: { passphrase: new Secret("correct horse battery staple") },
    file: { size: "20 GiB" },
    mount: { path: "/mnt/photos" },
  });
  expect(disk.urn).toBe("urn:pulumi:dev::home::netdisk:index:EncryptedDisk::photos");
  expect(kinds().slice(before)).toEqual(
    expect.arrayContaining(["EncryptedDisk", "BackingFile", "Mount", "DiskTarget"]),
  );
  const recovery = registered.find(({ type }) => type.endsWith(":Recovery"))!.inputs.passphrase;
  expect(recovery).toBeInstanceOf(Secret);
});

it("takes the orders to erase and to adopt a disk, and gives its sheet, which is a secret", async () => {
  const backup = await construct("Server", "vault", { host: "203.0.113.8" });
  const nas = await construct("Client", "desk", { host: "desk.lan" });
  const luksUuid = "30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11";
  const before = registered.length;
  const disk = await construct("EncryptedDisk", "old", {
    server: reference(backup.urn),
    client: reference(nas.urn),
    recovery: { passphrase: new Secret("correct horse battery staple") },
    file: { size: "20 GiB" },
    mount: { path: "/mnt/old" },
    erase: luksUuid,
    adopt: luksUuid,
  });
  const inputsOf = (kind: string) =>
    registered.slice(before).find(({ type }) => type === `netdisk:index:${kind}`)?.inputs;
  expect(inputsOf("Erase")).toMatchObject({ luksUuid });
  expect(inputsOf("EraseFile")).toMatchObject({ luksUuid });
  for (const kind of ["BackingFile", "LuksKey", "Luks"]) {
    expect(inputsOf(kind), kind).toMatchObject({ adopt: luksUuid });
  }
  const { recoverySheet } = disk.state;
  expect(recoverySheet).toBeInstanceOf(Secret);
  expect((recoverySheet as Secret).reveal()).toContain("cryptsetup open");
});

it("says every mistake in the components' own words, without a stack trace", async () => {
  await expect(construct("Server", "backup2", { host: "203.0.113.9", prot: 22 })).rejects.toThrow(
    /^CONFIG: Server "backup2":\n {2}prot: unknown key; did you mean "port"\?$/,
  );
  await expect(
    construct("EncryptedDisk", "photos", {
      server: reference("urn:pulumi:dev::home::netdisk:index:Server::other"),
      file: { size: "1 GiB" },
    }),
  ).rejects.toThrow('EncryptedDisk "photos":\n  server: must be a Server of this program');
  await expect(construct("Nothing", "x", {})).rejects.toThrow('"netdisk:index:Nothing" is no component');
});
