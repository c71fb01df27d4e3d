/** From the keys of a stack file to a server, a client and their disks: the whole program in one call. */
import * as pulumi from "@pulumi/pulumi";
import type { StackFile } from "../schema/stack";
import { isStackFile } from "../schema/stackMistakes";
import { stackReport } from "../schema/stackReport";
import { Client } from "./client";
import { EncryptedDisk } from "./encryptedDisk";
import { Server } from "./server";
import { stackText } from "./stackSource";

/** Strings that are not JSON are meant as they are: `recovery: none`. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The project's own keys of the stack's configuration. */
function rawConfig(): Record<string, unknown> {
  const prefix = `${pulumi.getProject()}:`;
  return Object.fromEntries(
    Object.entries(pulumi.runtime.allConfig())
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), parse(value)]),
  );
}

// Exported by the SDK and used by its own Config class, but left out of its type declarations.
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret: (key: string) => boolean };

/** @throws pulumi.RunError naming every mistake, before any resource is registered. */
function readStackConfig(): StackFile {
  const values = rawConfig();
  const report = stackReport(
    {
      stack: pulumi.getStack(),
      values,
      isEncrypted: (key) => isConfigSecret(`${pulumi.getProject()}:${key}`),
    },
    stackText(),
  );
  if (report === undefined && isStackFile(values)) return values;
  throw new pulumi.RunError(report);
}

export interface StackOutputs {
  /** Each disk's mount point, LUKS UUID, systemd unit and device. */
  disks: Record<string, Pick<EncryptedDisk, "mountPath" | "luksUuid" | "unit" | "device">>;
  /** Each disk's recovery blob; secret. */
  recovery: Record<string, pulumi.Output<string>>;
  /** All disks' recovery sheets as one text, for `pulumi stack output recoverySheet --show-secrets`; secret. */
  recoverySheet: pulumi.Output<string> | undefined;
}

/**
 * Builds the host pair and the disks that the stack file describes; to be exported as the program's outputs.
 * @throws pulumi.RunError naming every mistake in the stack file, before any resource is registered.
 */
export function fromStackConfig(): StackOutputs {
  const stack = readStackConfig();
  const server = new Server("server", stack.server);
  const client = new Client("client", stack.client);
  const outputs: StackOutputs = { disks: {}, recovery: {}, recoverySheet: undefined };
  const sheets: pulumi.Output<string>[] = [];
  for (const [key, disk] of Object.entries(stack.disks)) {
    const erase = stack.erase?.[key];
    const adopt = stack.adopt?.[key];
    const made = new EncryptedDisk(key, {
      ...disk,
      server,
      client,
      recovery: stack.recovery,
      ...(erase !== undefined && { erase }),
      ...(adopt !== undefined && { adopt }),
    });
    const { mountPath, luksUuid, unit, device } = made;
    outputs.disks[key] = { mountPath, luksUuid, unit, device };
    if (made.recovery) outputs.recovery[key] = made.recovery;
    if (made.recoverySheet) sheets.push(made.recoverySheet);
  }
  if (sheets.length > 0) outputs.recoverySheet = pulumi.all(sheets).apply((texts) => texts.join("\n\n"));
  return outputs;
}
