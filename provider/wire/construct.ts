/** Construct, the engine's request for a component: handed on to ../constructMain.ts, started when the first one comes. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import type { ConstructRequest, ConstructResponse } from "@pulumi/pulumi/proto/provider_pb";
import { NetdiskError } from "../errors";

export class Components {
  #child?: ChildProcess;
  #client?: Promise<ResourceProviderClient>;

  /** @param options gRPC channel options. */
  constructor(private readonly options: Record<string, number>) {}

  /** @param engine The engine's address. */
  async construct(engine: string, request: ConstructRequest): Promise<ConstructResponse> {
    this.#client ??= this.#start(engine);
    const client = await this.#client;
    return new Promise((resolve, reject) => {
      client.construct(request, (error: ServiceError | null, response) => {
        // The program's own mistakes, in the words of the components.
        if (error) reject(new NetdiskError("CONFIG", error.details));
        else resolve(response);
      });
    });
  }

  close(): void {
    this.#child?.stdin?.end();
  }

  async #start(engine: string): Promise<ResourceProviderClient> {
    const child = spawn(process.execPath, [join(__dirname, "../constructMain.js"), engine], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child = child;
    child.stdin.on("error", () => undefined);
    const port = await new Promise<string>((resolve, reject) => {
      createInterface(child.stdout).once("line", resolve);
      child.once("error", reject);
      child.once("exit", (code) =>
        reject(new Error(`the components' process ended with status ${String(code)} before it was ready`)),
      );
    });
    return new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure(), this.options);
  }
}
