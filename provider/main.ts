/** Started by the engine (pulumi-resource-netdisk): serves until the engine is gone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hostFingerprints, openHost } from "./host/open";
import { Provider } from "./provider";
import { registry } from "./registry";
import { type RunningServer, serve } from "./wire/server";
import { engineLog } from "./wire/engine";

/** How long work that was cancelled may take to come to its end. */
const endMs = 25_000;
const parentCheckMs = 1000;

function packageRoot(): string {
  // dist/provider/main.js
  return join(__dirname, "../..");
}

function versionOf(root: string): string {
  return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
}

function exitWhenDone({ inFlight }: RunningServer, provider: Provider, code: number): void {
  // Answers of work that is only now cancelled still have to get out.
  const answerMs = inFlight.size > 0 ? 200 : 0;
  inFlight.cancel();
  setTimeout(() => process.exit(code), endMs).unref();
  void inFlight
    .settled()
    .then(() => new Promise((resolve) => setTimeout(resolve, answerMs)))
    .then(() => provider.close())
    .finally(() => process.exit(code));
}

async function main(): Promise<void> {
  const address = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
  const root = packageRoot();
  const provider = new Provider(registry, { openHost, hostFingerprints }, engineLog(address));
  const server = await serve(provider, { version: versionOf(root), schemaFile: join(root, "schema.json") });
  // The engine waits five seconds before it kills: each run would cost them.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => exitWhenDone(server, provider, 0));
  }
  process.on("SIGHUP", () => undefined);
  // An engine that was killed says nothing; without this we would live for ever.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) exitWhenDone(server, provider, 1);
  }, parentCheckMs).unref();
  process.stdout.write(`${server.port}\n`);
}

void main().catch((error: unknown) => {
  process.stderr.write(
    `netdisk: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
});
