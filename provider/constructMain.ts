/**
 * The components for programs in YAML and other languages, in a process of its own: the SDK keeps the program that it
 * works for in globals, and takes a second to load. Started by wire/construct.ts, and ends with it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { Client, EncryptedDisk, Server, type EncryptedDiskArgs } from "../components";
import { haveOneRun } from "../components/mistakes";

type Options = pulumi.ComponentResourceOptions;
type Result = pulumi.provider.ConstructResult;

// dist/provider/constructMain.js
const root = join(__dirname, "../..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

/** What was made so far: a disk is told by their URNs which hosts are its own. */
const hosts = new Map<string, Server | Client>();

const urnOf = (resource: pulumi.Resource): Promise<string> =>
  new Promise((resolve) => resource.urn.apply(resolve));

async function remember(host: Server | Client, state: pulumi.Inputs): Promise<Result> {
  hosts.set(await urnOf(host), host);
  return { urn: host.urn, state };
}

/** A reference to one of our components arrives as the very instance, while this process lives. */
pulumi.runtime.registerResourceModule("netdisk", "index", {
  version,
  construct: (_name, _type, urn) => hosts.get(urn) ?? new pulumi.DependencyResource(urn),
});

/** @throws pulumi.RunError where `given` is no host that this program has made. */
function hostOf<H extends Server | Client>(
  disk: string,
  key: "server" | "client",
  kind: new (...args: never[]) => H,
  given: unknown,
): H | undefined {
  // Left out: the disk's own check says so, with everything else that is wrong.
  if (given === undefined || given instanceof kind) return given;
  throw new pulumi.RunError(
    `EncryptedDisk "${disk}":\n  ${key}: must be a ${kind.name} of this program, made by the same provider. Give it the resource itself: \`${key}: \${NAME}\`.`,
  );
}

async function construct(
  name: string,
  type: string,
  inputs: pulumi.Inputs,
  options: Options,
): Promise<Result> {
  switch (type) {
    case "netdisk:index:Server": {
      const server = new Server(name, inputs, options);
      return remember(server, { endpoint: server.endpoint, hostKey: server.hostKey.publicKey });
    }
    case "netdisk:index:Client": {
      const client = new Client(name, inputs, options);
      return remember(client, { nbdCommit: client.build.commit });
    }
    case "netdisk:index:EncryptedDisk": {
      const server = hostOf(name, "server", Server, inputs.server);
      const client = hostOf(name, "client", Client, inputs.client);
      const disk = new EncryptedDisk(name, { ...inputs, server, client } as EncryptedDiskArgs, options);
      const { urn, mountPath, luksUuid, unit, device, recovery, recoverySheet } = disk;
      return { urn, state: { mountPath, luksUuid, unit, device, recovery, recoverySheet } };
    }
    default:
      throw new pulumi.RunError(
        `"${type}" is no component of this version of netdisk. Update the provider, or correct the type.`,
      );
  }
}

// Whoever started us is gone when its end of the pipe is.
process.stdin.on("close", () => process.exit(0)).resume();

haveOneRun();
void pulumi.provider.main({ version, construct }, process.argv.slice(2));
