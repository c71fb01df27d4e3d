/** Speaks the engine's side of the protocol, by real gRPC. */
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import * as pb from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { decode, encode, type Properties } from "../../provider/wire/values";

export class Failure extends Error {
  constructor(
    message: string,
    readonly initFailed?: {
      id: string;
      outputs: Properties;
      inputs: Properties;
      reasons: string[];
      refresh: boolean;
    },
  ) {
    super(message);
  }
}

function failureOf(error: ServiceError): Failure {
  const [details] = error.metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(details)) return new Failure(error.details);
  const any = Status.deserializeBinary(details).getDetailsList()[0]!;
  const failed = any.unpack(
    (bytes) => pb.ErrorResourceInitFailed.deserializeBinary(bytes),
    any.getTypeName(),
  )!;
  return new Failure(error.details, {
    id: failed.getId(),
    outputs: decode(failed.getProperties()),
    inputs: decode(failed.getInputs()),
    reasons: failed.getReasonsList(),
    refresh: failed.getRefreshBeforeUpdate(),
  });
}

export interface Existing {
  id: string;
  inputs: Properties;
  outputs: Properties;
}

export const urnOf = (
  name: string,
  { type = "netdisk:index:Thing", stack = "lab", project = "home" } = {},
): string => `urn:pulumi:${stack}::${project}::netdisk:index:EncryptedDisk$${type}::${name}`;

export function engine(port: number) {
  const client = new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": 400 * 1024 * 1024,
    "grpc.max_send_message_length": 400 * 1024 * 1024,
  });
  const call = <R>(start: (done: (error: ServiceError | null, response: R) => void) => unknown): Promise<R> =>
    new Promise((resolve, reject) => {
      start((error, response) => {
        if (error) reject(failureOf(error));
        else resolve(response);
      });
    });

  return {
    client,
    handshake: () =>
      call<pb.ProviderHandshakeResponse>((done) => client.handshake(new pb.ProviderHandshakeRequest(), done)),
    pluginInfo: () => call<PluginInfo>((done) => client.getPluginInfo(new Empty(), done)),
    schema: () => call<pb.GetSchemaResponse>((done) => client.getSchema(new pb.GetSchemaRequest(), done)),
    cancel: () => call<Empty>((done) => client.cancel(new Empty(), done)),
    configure: (args: Properties) => {
      const request = new pb.ConfigureRequest();
      request.setArgs(encode(args));
      return call<pb.ConfigureResponse>((done) => client.configure(request, done));
    },
    async checkConfig(news: Properties) {
      const request = new pb.CheckRequest();
      request.setNews(encode(news));
      const response = await call<pb.CheckResponse>((done) => client.checkConfig(request, done));
      return { inputs: decode(response.getInputs()), failures: failuresOf(response) };
    },
    async diffConfig(olds: Properties, news: Properties) {
      const request = new pb.DiffRequest();
      request.setOlds(encode(olds));
      request.setOldInputs(encode(olds));
      request.setNews(encode(news));
      return call<pb.DiffResponse>((done) => client.diffConfig(request, done));
    },
    async check(urn: string, news: Properties, olds?: Properties) {
      const request = new pb.CheckRequest();
      request.setUrn(urn);
      if (olds) request.setOlds(encode(olds));
      request.setNews(encode(news));
      const response = await call<pb.CheckResponse>((done) => client.check(request, done));
      return { inputs: decode(response.getInputs()), failures: failuresOf(response) };
    },
    async diff(urn: string, old: Existing, news: Properties) {
      const request = new pb.DiffRequest();
      request.setUrn(urn);
      request.setId(old.id);
      request.setOlds(encode(old.outputs));
      request.setOldInputs(encode(old.inputs));
      request.setNews(encode(news));
      return call<pb.DiffResponse>((done) => client.diff(request, done));
    },
    async create(urn: string, inputs: Properties, preview = false): Promise<Existing & { refresh: boolean }> {
      const request = new pb.CreateRequest();
      request.setUrn(urn);
      request.setProperties(encode(inputs));
      request.setPreview(preview);
      const response = await call<pb.CreateResponse>((done) => client.create(request, done));
      return {
        id: response.getId(),
        inputs,
        outputs: decode(response.getProperties()),
        refresh: response.getRefreshBeforeUpdate(),
      };
    },
    async update(urn: string, old: Existing, news: Properties, preview = false) {
      const request = new pb.UpdateRequest();
      request.setUrn(urn);
      request.setId(old.id);
      request.setOlds(encode(old.outputs));
      request.setOldInputs(encode(old.inputs));
      request.setNews(encode(news));
      request.setPreview(preview);
      const response = await call<pb.UpdateResponse>((done) => client.update(request, done));
      return {
        id: old.id,
        inputs: news,
        outputs: decode(response.getProperties()),
        refresh: response.getRefreshBeforeUpdate(),
      };
    },
    async read(urn: string, old: Existing) {
      const request = new pb.ReadRequest();
      request.setUrn(urn);
      request.setId(old.id);
      request.setProperties(encode(old.outputs));
      request.setInputs(encode(old.inputs));
      const response = await call<pb.ReadResponse>((done) => client.read(request, done));
      return {
        id: response.getId(),
        inputs: decode(response.getInputs()),
        outputs: decode(response.getProperties()),
        refresh: response.getRefreshBeforeUpdate(),
      };
    },
    async delete(urn: string, old: Existing) {
      const request = new pb.DeleteRequest();
      request.setUrn(urn);
      request.setId(old.id);
      request.setProperties(encode(old.outputs));
      request.setOldInputs(encode(old.inputs));
      await call<Empty>((done) => client.delete(request, done));
    },
  };
}

export type Engine = ReturnType<typeof engine>;

const failuresOf = (response: pb.CheckResponse) =>
  response
    .getFailuresList()
    .map((failure) => ({ property: failure.getProperty(), reason: failure.getReason() }));
