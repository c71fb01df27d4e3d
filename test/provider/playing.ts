/** A provider in this process, on a sandbox, with its messages recorded. */
import { afterEach } from "vitest";
import { Provider } from "../../provider/provider";
import { registryOf } from "../../provider/registry";
import type { ResourceType } from "../../provider/resource";
import { serve } from "../../provider/wire/server";
import { engine, type Engine } from "./client";
import { type Sandbox, sandbox, thing } from "./sandbox";

export interface Message {
  urn: string;
  message: string;
  ephemeral: boolean;
  severity: string;
}

export interface Playing extends Engine {
  host: Sandbox;
  messages: Message[];
}

const cleanUp: (() => void)[] = [];
afterEach(() => cleanUp.splice(0).forEach((act) => act()));

/** @param on Another provider's sandbox: two stacks, or two runs, on one host. */
export async function play(on?: Sandbox, types: ResourceType[] = [thing]): Promise<Playing> {
  const host = on ?? sandbox();
  const messages: Message[] = [];
  const provider = new Provider(registryOf(types), host, {
    say: (urn, message, { ephemeral = false, severity = "info" } = {}) =>
      messages.push({ urn, message, ephemeral, severity }),
    attach: () => {},
  });
  const server = await serve(provider, { version: "1.2.3", schemaFile: `${__dirname}/../../schema.json` });
  const client = engine(server.port);
  cleanUp.push(() => {
    client.client.close();
    server.close();
    if (!on) host.dispose();
  });
  await client.configure({ role: "server", connection: "ssh", host: "sandbox" });
  return { ...client, host, messages };
}
