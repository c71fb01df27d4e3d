/** Failures as gRPC carries them. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
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

/** Users see the message only: a stack would bury the cure. */
export function failureOf(error: unknown, mask: Mask): GrpcFailure {
  if (error instanceof InitFailed) return initFailed(error, mask(error.reason));
  if (error instanceof Error && error.name.startsWith("NetdiskError")) {
    return { code: status.UNKNOWN, details: mask(error.message) };
  }
  // A mistake of ours: the stack is what the report needs.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: status.INTERNAL, details: mask(`unexpected: ${text}\nPlease report this.`) };
}
