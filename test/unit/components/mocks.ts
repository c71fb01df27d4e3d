/** A Pulumi engine that records what a program registers and answers as the provider would. */
import * as pulumi from "@pulumi/pulumi";
import { vi } from "vitest";
import { definitions } from "../../../schema/index";
import type { Definition } from "../../../schema/define";

// The SDK takes its time on a machine that runs labs beside the tests.
vi.setConfig({ testTimeout: 60_000 });

export interface Registration {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** Name of the provider resource that the registration names, which is the host it is for. */
  on: string | undefined;
}

const byToken = new Map<string, Definition>(
  Object.values(definitions).map((definition) => [definition.token, definition]),
);

/** `unknown` outputs in a preview, `TYPE.output` otherwise. */
function outputsOf(definition: Definition, preview: boolean): Record<string, unknown> {
  const outputs = Object.keys(definition.outputs);
  return preview ? {} : Object.fromEntries(outputs.map((key) => [key, `${definition.kind}.${key}`]));
}

/**
 * Installs the mocks and returns the list that fills up. A type that is not ours throws.
 * @param options.held the type whose resources are not made until `until` is there: what needs them waits
 */
export async function recordRegistrations(
  options: { preview?: boolean; project?: string; stack?: string; held?: string; until?: Promise<void> } = {},
): Promise<Registration[]> {
  const registrations: Registration[] = [];
  await pulumi.runtime.setMocks(
    {
      call({ token }) {
        throw new Error(`the program called ${token}, which no test expects`);
      },
      newResource({ type, name, inputs, provider }) {
        const given = inputs as Record<string, unknown>;
        // A provider is referred to as URN::ID.
        registrations.push({ type, name, inputs: given, on: provider?.split("::").at(-2) });
        const component = ["Server", "Client", "EncryptedDisk"].some((it) => type === `netdisk:index:${it}`);
        if (component) return { id: undefined, state: given };
        if (type.startsWith("command:")) return { id: name, state: given };
        if (type === "pulumi:providers:netdisk") return { id: `${name}-provider`, state: given };
        const definition = byToken.get(type);
        if (!definition) throw new Error(`the program registered ${type}, which no test expects`);
        const defaults = Object.fromEntries(
          Object.entries(definition.inputs).map(([key, { schema }]) => {
            const filled = schema.safeParse(undefined);
            return [key, filled.success ? filled.data : undefined];
          }),
        );
        const state = { ...defaults, ...given, ...outputsOf(definition, options.preview ?? false) };
        const made = { id: `${definition.kind}/${name}`, state };
        return type === options.held && options.until ? options.until.then(() => made) : made;
      },
    },
    options.project ?? "hosts",
    options.stack ?? "test",
    options.preview ?? false,
  );
  return registrations;
}

/** Resolves once all that the program has asked the engine for is answered. */
export const settled = (): Promise<void> => pulumi.runtime.disconnect();

export function valueOf<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => {
    output.apply(resolve);
  });
}

/** The engine's mark of a secret value on the wire. */
export const isMarkedSecret = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  (value as Record<string, unknown>)["4dabf18193072939515e22adb298388d"] ===
    "1b47061264138c4ac30d75fd1eb44270";
