/** The protocol between engine and provider, by gRPC: which of the engine's requests is which method of Provider. */
import { readFile } from "node:fs/promises";
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { type PluginAttach, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as pb from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { timeLimit } from "../boundHost";
import type { Checked } from "../check";
import { Components } from "./construct";
import type { Change } from "../diff";
import { InFlight } from "../inFlight";
import { printable } from "../printable";
import { maskOf } from "../progress";
import type { Provider } from "../provider";
import { failureOf } from "./failures";
import { decode, encode, type Properties } from "./values";

/** A recovery blob holds a LUKS header; the default of 4 MiB is too small for a state of many disks. */
const messageBytes = 400 * 1024 * 1024;
const channel = {
  "grpc.max_receive_message_length": messageBytes,
  "grpc.max_send_message_length": messageBytes,
};

/** `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME` → TYPE */
const tokenOf = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";

function checkResponse({ inputs, failures }: Checked): pb.CheckResponse {
  const response = new pb.CheckResponse();
  if (failures.length === 0) response.setInputs(encode(inputs));
  for (const { property, reason } of failures) {
    const failure = new pb.CheckFailure();
    failure.setProperty(property);
    // It may quote an input that was brought to what a host has.
    failure.setReason(printable(reason));
    response.addFailures(failure);
  }
  return response;
}

const kinds = {
  add: pb.PropertyDiff.Kind.ADD,
  update: pb.PropertyDiff.Kind.UPDATE,
  delete: pb.PropertyDiff.Kind.DELETE,
};

function diffResponse(changes: Record<string, Change>): pb.DiffResponse {
  const response = new pb.DiffResponse();
  const keys = Object.keys(changes);
  // Unset means "unknown", and then the engine compares inputs only: drift would be missed.
  response.setChanges(
    keys.length > 0 ? pb.DiffResponse.DiffChanges.DIFF_SOME : pb.DiffResponse.DiffChanges.DIFF_NONE,
  );
  response.setDiffsList(keys);
  response.setHasdetaileddiff(true);
  for (const [key, { kind, fromInput }] of Object.entries(changes)) {
    const detail = new pb.PropertyDiff();
    detail.setKind(kinds[kind]);
    detail.setInputdiff(fromInput);
    response.getDetaileddiffMap().set(key, detail);
  }
  return response;
}

const updates = (keys: string[]): Record<string, Change> =>
  Object.fromEntries(keys.map((key) => [key, { kind: "update", fromInput: true }]));

export interface ServerOptions {
  version: string;
  schemaFile: string;
}

export interface RunningServer {
  port: number;
  inFlight: InFlight;
  close(): void;
}

/** Under the time limit that the user set (customTimeouts), where there is one. */
async function within<R>(
  request: unknown,
  signal: AbortSignal,
  work: (signal: AbortSignal) => R | Promise<R>,
): Promise<R> {
  const seconds =
    request instanceof pb.CreateRequest ||
    request instanceof pb.UpdateRequest ||
    request instanceof pb.DeleteRequest
      ? request.getTimeout()
      : 0;
  if (seconds <= 0) return work(signal);
  const limit = timeLimit(seconds * 1000, signal);
  try {
    return await work(limit.signal);
  } finally {
    limit.clear();
  }
}

function implementation(
  provider: Provider,
  components: Components,
  inFlight: InFlight,
  options: ServerOptions,
) {
  /** Answers one request; a failure becomes a status that the engine understands. */
  const answer =
    <Q, R>(handle: (request: Q, signal: AbortSignal) => R | Promise<R>, secrets?: (request: Q) => unknown) =>
    (call: { request: Q }, callback: (error: Partial<ServiceError> | null, value?: R) => void): void => {
      inFlight
        .track((signal) => within(call.request, signal, (limited) => handle(call.request, limited)))
        .then(
          (response) => callback(null, response),
          (error: unknown) => {
            const isKnown = !(call.request instanceof pb.CreateRequest);
            callback(failureOf(error, maskOf(provider.secrets, secrets?.(call.request)), isKnown));
          },
        );
    };

  const target = (request: { getUrn(): string }, signal: AbortSignal) => ({
    token: tokenOf(request.getUrn()),
    urn: request.getUrn(),
    signal,
  });

  return {
    handshake: answer(() => {
      const response = new pb.ProviderHandshakeResponse();
      response.setAcceptSecrets(true);
      // For Construct: nested arguments keep their secrets and dependencies, a disk's hosts come as references.
      response.setAcceptOutputs(true);
      response.setAcceptResources(true);
      return response;
    }),
    attach: answer((request: PluginAttach) => {
      provider.attach(request.getAddress());
      return new Empty();
    }),
    getPluginInfo: answer(() => {
      const response = new PluginInfo();
      response.setVersion(options.version);
      return response;
    }),
    getSchema: answer(async () => {
      const response = new pb.GetSchemaResponse();
      response.setSchema(await readFile(options.schemaFile, "utf8"));
      return response;
    }),
    checkConfig: answer((request: pb.CheckRequest) =>
      checkResponse(provider.checkConfig(decode(request.getNews()))),
    ),
    diffConfig: answer((request: pb.DiffRequest) => {
      const olds = request.getOldInputs() ?? request.getOlds();
      return diffResponse(updates(provider.diffConfig(decode(olds), decode(request.getNews()))));
    }),
    configure: answer(async (request: pb.ConfigureRequest) => {
      await provider.configure(decode(request.getArgs()));
      const response = new pb.ConfigureResponse();
      response.setAcceptsecrets(true);
      response.setSupportspreview(true);
      response.setAcceptoutputs(true);
      response.setAcceptresources(true);
      return response;
    }),
    check: answer((request: pb.CheckRequest) => {
      const olds = request.hasOlds() ? decode(request.getOlds()) : undefined;
      return checkResponse(
        provider.check(tokenOf(request.getUrn()), request.getUrn(), olds, decode(request.getNews())),
      );
    }),
    diff: answer((request: pb.DiffRequest) =>
      diffResponse(
        provider.diff(tokenOf(request.getUrn()), {
          oldInputs: decode(request.getOldInputs()),
          state: decode(request.getOlds()),
          news: decode(request.getNews()),
        }),
      ),
    ),
    create: answer(
      async (request: pb.CreateRequest, signal) => {
        const inputs = decode(request.getProperties());
        const { id, outputs } = await provider.create({
          ...target(request, signal),
          inputs,
          preview: request.getPreview(),
        });
        const response = new pb.CreateResponse();
        response.setId(id);
        response.setProperties(encode(outputs));
        response.setRefreshBeforeUpdate(true);
        return response;
      },
      (request) => decode(request.getProperties()),
    ),
    read: answer(
      async (request: pb.ReadRequest, signal) => {
        const found = await provider.read(target(request, signal), {
          id: request.getId(),
          inputs: decode(request.getInputs()),
          outputs: decode(request.getProperties()),
        });
        const response = new pb.ReadResponse();
        // No id: the engine removes it from state, and the next `up` creates it.
        if (!found) return response;
        response.setId(found.id);
        response.setProperties(encode(found.outputs));
        response.setInputs(encode(found.inputs));
        response.setRefreshBeforeUpdate(true);
        return response;
      },
      (request) => [decode(request.getInputs()), decode(request.getProperties())],
    ),
    update: answer(
      async (request: pb.UpdateRequest, signal) => {
        const outputs: Properties = await provider.update(
          { ...target(request, signal), inputs: decode(request.getNews()), preview: request.getPreview() },
          {
            id: request.getId(),
            inputs: decode(request.getOldInputs()),
            outputs: decode(request.getOlds()),
          },
        );
        const response = new pb.UpdateResponse();
        response.setProperties(encode(outputs));
        response.setRefreshBeforeUpdate(true);
        return response;
      },
      (request) => [decode(request.getNews()), decode(request.getOlds())],
    ),
    delete: answer(
      async (request: pb.DeleteRequest, signal) => {
        await provider.remove(target(request, signal), {
          id: request.getId(),
          inputs: decode(request.getOldInputs()),
          outputs: decode(request.getProperties()),
        });
        return new Empty();
      },
      (request) => [decode(request.getOldInputs()), decode(request.getProperties())],
    ),
    construct: answer((request: pb.ConstructRequest) => components.construct(provider.engine, request)),
    // Every run ends with it, too; then nothing is in flight.
    cancel: (_call: unknown, callback: (error: null, value: Empty) => void) => {
      callback(null, new Empty());
      inFlight.cancel();
    },
  };
}

const unimplemented: handleUnaryCall<unknown, unknown> = (call, callback) => {
  callback({ code: status.UNIMPLEMENTED, details: `${call.getPath()} is not needed for netdisk` });
};

/** Listens on a free port of 127.0.0.1. */
export async function serve(provider: Provider, options: ServerOptions): Promise<RunningServer> {
  const inFlight = new InFlight();
  const server = new Server(channel);
  const components = new Components(channel);
  const methods: UntypedServiceImplementation = {
    ...Object.fromEntries(Object.keys(ResourceProviderService).map((method) => [method, unimplemented])),
    ...(implementation(provider, components, inFlight, options) as unknown as UntypedServiceImplementation),
  };
  server.addService(ResourceProviderService, methods);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    port,
    inFlight,
    close: () => {
      components.close();
      server.forceShutdown();
    },
  };
}
