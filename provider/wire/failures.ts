/** Failures as gRPC carries them. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { coded, NetdiskError } from "../errors";
import type { Mask } from "../progress";
import { InitFailed } from "../request";
import { encode } from "./values";

export type GrpcFailure = Pick<ServiceError, "code" | "details"> & { metadata?: Metadata };

/** A failure that leaves the resource in state, with its id and what is there of it. */
function initFailed(failure: InitFailed, reason: string): GrpcFailure {
  const detail = new ErrorResourceInitFailed();
  detail.setId(failure.id);
  detail.setProperties(encode(failure.outputs));
  if (failure.inputs) detail.setInputs(encode(failure.inputs));
  // Without reasons the message is dropped and the user reads "resource init failed".
  detail.setReasonsList([reason]);
  detail.setRefreshBeforeUpdate(true);
  const any = new Any();
  any.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const answer = new Status();
  answer.setCode(status.UNKNOWN);
  answer.setMessage(reason);
  answer.addDetails(any);
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(answer.serializeBinary()));
  return { code: status.UNKNOWN, details: reason, metadata };
}

/** Of an error that is meant for them, users see no stack: it would bury the cure. */
function textOf(error: unknown, isKnown: boolean): string {
  if (error instanceof NetdiskError) return coded(error, isKnown);
  // A mistake of ours: the stack is what the report needs.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `unexpected: ${text}\nPlease report this.`;
}

/** @param isKnown Whether the request is about something that the state has. */
export function failureOf(error: unknown, mask: Mask, isKnown: boolean): GrpcFailure {
  if (error instanceof InitFailed) return initFailed(error, mask(textOf(error.failure, isKnown)));
  const code = error instanceof NetdiskError ? status.UNKNOWN : status.INTERNAL;
  return { code, details: mask(textOf(error, isKnown)) };
}
