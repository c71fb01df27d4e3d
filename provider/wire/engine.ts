/** The engine's side of the conversation: what is said to the person at the terminal. */
import { credentials } from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";

export type Severity = "info" | "warning";

export interface Log {
  /** Where the engine is; undefined where nobody listens. */
  readonly address?: string;
  /** `ephemeral`: replaces what the resource's line said before; otherwise the message stays. */
  say(urn: string, message: string, options?: { ephemeral?: boolean; severity?: Severity }): void;
  /** The engine is another one from now on (a provider that runs under a debugger serves many). */
  attach(address: string): void;
}

/** Messages go to the engine at `first`; without one they go nowhere. */
export function engineLog(first: string | undefined): Log {
  let address = first;
  let client: EngineClient | undefined;
  return {
    get address() {
      return address;
    },

    attach(next) {
      address = next;
      client = undefined;
    },

    say(urn, message, { ephemeral = false, severity = "info" } = {}) {
      if (address === undefined) return;
      client ??= new EngineClient(address, credentials.createInsecure());
      const request = new LogRequest();
      request.setUrn(urn);
      request.setMessage(message);
      request.setEphemeral(ephemeral);
      request.setSeverity(severity === "info" ? LogSeverity.INFO : LogSeverity.WARNING);
      // An engine that is gone has no use for a message; the work goes on to its end.
      client.log(request, () => undefined);
    },
  };
}
