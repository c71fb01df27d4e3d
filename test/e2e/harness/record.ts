/**
 * What the hosts answer, kept as cases of test/unit/observations: the same drift is then tested without a lab.
 * `npm run record` makes them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { diff } from "../../../provider/diff";
import { knownWishes } from "../../../provider/check";
import { stateOf } from "../../../provider/outputs";
import type { Host } from "../../../provider/host/host";
import { openHost } from "../../../provider/host/open";
import { registry } from "../../../provider/registry";
import type { Answers, ObservationCase } from "../../unit/observationCase";
import { sshConfig, type HostName } from "./lab";
import { passphrase, state, type StateResource } from "./project";

const folder = join(__dirname, "../../unit/observations");

/** Passes everything through and keeps what came back. */
function recording(host: Host): { host: Host; answers: Answers } {
  const answers: Answers = { commands: {}, files: {} };
  const wrapped: Host = {
    ...host,
    label: host.label,
    exec: async (command, options) => {
      const result = await host.exec(command, options);
      answers.commands[command.text] = result;
      return result;
    },
    run: async (command, options) => {
      const stdout = await host.run(command, options);
      answers.commands[command.text] = { exitCode: 0, stdout, stderr: "" };
      return stdout;
    },
    readFile: async (path) => {
      const content = await host.readFile(path);
      answers.files[path] = content?.toString("utf8") ?? null;
      return content;
    },
    writeFile: () => Promise.reject(new Error("an observation writes nothing")),
    waitForLock: (lock, options) => host.waitForLock(lock, options),
    close: () => host.close(),
  };
  return { host: wrapped, answers };
}

/** Only what differs from the same type's typical case. */
function without(answers: Answers, typical: Answers | undefined): Answers {
  const rest = <T>(all: Record<string, T>, base: Record<string, T> = {}): Record<string, T> =>
    Object.fromEntries(
      Object.entries(all)
        .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(base[key]))
        .sort(([a], [b]) => a.localeCompare(b)),
    );
  return { commands: rest(answers.commands, typical?.commands), files: rest(answers.files, typical?.files) };
}

/** The engine keeps secrets encrypted: they come from the test, or are left out. */
function known(properties: Record<string, unknown> = {}): Record<string, unknown> {
  const isSecret = (value: unknown) => typeof value === "object" && value !== null && "ciphertext" in value;
  return Object.fromEntries(
    Object.entries(properties).flatMap(([key, value]) =>
      key === "__defaults"
        ? []
        : !isSecret(value)
          ? [[key, value]]
          : key === "passphrase"
            ? [[key, passphrase]]
            : [],
    ),
  );
}

const hostOf = ({ provider = "" }: StateResource): HostName =>
  provider.includes("netdisk:index:Server$") ? "server" : "client";

/** What the resource is called in its folder when nothing is wrong. */
const typicalName = ({ id = "" }: StateResource): string => id.slice(id.indexOf("/") + 1);

/** A sealed blob is some 200 KB of no interest. */
const armored = /(-----BEGIN PGP MESSAGE-----\n\n).*?(-----END PGP MESSAGE-----)/gs;

/** Observes the resource on its host as a read would, and writes the case. */
async function record(resource: StateResource, name = typicalName(resource)): Promise<void> {
  const type = registry.get(resource.type);
  if (!type) return;
  const subject = join(folder, resource.type.replace("netdisk:index:", ""));
  const typicalFile = join(subject, `${typicalName(resource)}.yaml`);
  const inputs = known(resource.inputs);
  const state = stateOf(type.definition, known(resource.outputs));
  const open = openHost({ connection: "ssh", host: hostOf(resource), sshConfig }, { bootTimeoutMs: 0 });
  const { host, answers } = recording(open);
  try {
    const observed = await type.observe(host, knownWishes(type, inputs), {
      name: typicalName(resource),
      state,
    });
    const typical =
      name === typicalName(resource)
        ? undefined
        : (parse(readFileSync(typicalFile, "utf8")) as ObservationCase);
    const changes =
      observed.is === "present"
        ? diff(type, { oldInputs: inputs, state: { ...observed.state, claimed: true }, news: inputs })
        : undefined;
    const found: ObservationCase = {
      ...(typical
        ? { like: typicalName(resource) }
        : { inputs, known: { name: typicalName(resource), state } }),
      answers: without(answers, typical?.answers),
      observed: observed,
      ...(changes && { differs: Object.keys(changes).sort() }),
    };
    // A Secret prints as ***.
    const asData: unknown = JSON.parse(
      JSON.stringify(found, (_, value: unknown) =>
        typeof value === "string" ? value.replace(armored, "$1$2") : value,
      ),
    );
    mkdirSync(subject, { recursive: true });
    writeFileSync(join(subject, `${name}.yaml`), stringify(asData, { lineWidth: 0 }));
  } finally {
    await open.close();
  }
}

const wanted = process.env.NETDISK_RECORD === "1";

const typicals = new Set<string>();

/** Every resource as it is when nothing is wrong; what was recorded before stays, since other cases are told from it. */
export async function recordTypical(): Promise<void> {
  if (!wanted) return;
  for (const resource of state().resources.filter(({ urn }) => !typicals.has(urn))) {
    await record(resource);
    typicals.add(resource.urn);
  }
}

/** The resources of these types, with something wrong. */
export async function recordDrift(name: string, types: readonly string[]): Promise<void> {
  if (!wanted) return;
  const slug = name.replaceAll(/[^A-Za-z0-9]+/g, "-").toLowerCase();
  for (const resource of state().resources) {
    if (types.includes(resource.type.replace("netdisk:index:", ""))) await record(resource, slug);
  }
}
