/**
 * A host in a temporary directory: real commands by a real shell, with the paths of netdisk led there. And a
 * small resource type on it, whose moods (hidden, passing, foreign, slow, broken) a test sets by files.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import type { Hosts } from "../../provider/configuration";
import { NetdiskError } from "../../provider/errors";
import { ask, type Fact } from "../../provider/fact";
import { sh } from "../../provider/host/sh";
import { ShellHost } from "../../provider/host/shell";
import type { ProcessListener, StartOptions, Transport } from "../../provider/host/transport";
import { resourceType, type RunStep } from "../../provider/resource";
import { define, field } from "../../schema/define";
import { canonicalSize, nameField, size } from "../../schema/fields";
import { Secret } from "../../schema/secret";

class SandboxTransport implements Transport {
  readonly label = "sandbox (root@sandbox:22)";
  readonly lines: string[] = [];
  reachable = true;
  /** What is sent to commands does not arrive: the connection is lost then, which looks like the end of the input. */
  lost = false;

  constructor(readonly root: string) {}

  login = () => Promise.resolve({ user: "root" });

  start(line: string, listener: ProcessListener, { stdin, signal }: StartOptions): Promise<void> {
    if (!this.reachable) {
      return Promise.reject(new NetdiskError("UNREACHABLE", `${this.label} cannot be reached.`));
    }
    this.lines.push(line);
    return new Promise((resolve, reject) => {
      const led = line.replaceAll(
        /\/(?:(?:var\/lib|run|etc)\/netdisk|etc\/os-release|run\/systemd\/system)/g,
        `${this.root}$&`,
      );
      const child = spawn("/bin/sh", ["-c", led], { detached: true, cwd: this.root });
      child.on("spawn", () => listener.onStart());
      child.on("error", reject);
      child.stdout.on("data", (chunk: Buffer) => listener.onStdout(chunk));
      child.stderr.on("data", (chunk: Buffer) => listener.onStderr(chunk));
      child.on("exit", (code) => listener.onExit(code ?? 255));
      child.on("close", () => resolve());
      child.stdin.on("error", () => {});
      child.stdin.end(this.lost ? undefined : stdin);
      signal.addEventListener("abort", () => {
        child.stdout.destroy();
        child.stderr.destroy();
      });
    });
  }

  close = (): Promise<void> => Promise.resolve();
}

export interface Sandbox extends Hosts {
  readonly root: string;
  readonly transport: SandboxTransport;
  /** Options of every openHost. */
  readonly opened: { bootTimeoutMs: number }[];
  /** Path of a file of the thing `name`, on this machine. */
  file(name: string, file: string): string;
  read(name: string, file: string): string | undefined;
  write(name: string, file: string, content: string): void;
  dispose(): void;
}

export function sandbox(root = mkdtempSync(join(tmpdir(), "netdisk-sandbox-"))): Sandbox {
  const transport = new SandboxTransport(root);
  const opened: { bootTimeoutMs: number }[] = [];
  const file = (name: string, key: string) => join(root, "var/lib/netdisk/things", name, key);
  for (const folder of ["var/lib/netdisk", "run/netdisk", "run/systemd/system", "etc"])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, "etc/os-release"), "ID=debian\nNAME=Debian\n");
  return {
    root,
    transport,
    opened,
    openHost(_connection, options) {
      opened.push(options);
      return new ShellHost(transport);
    },
    hostFingerprints: () => Promise.resolve(["SHA256:sandbox"]),
    file,
    read: (name, key) => (existsSync(file(name, key)) ? readFileSync(file(name, key), "utf8") : undefined),
    write(name, key, content) {
      mkdirSync(dirname(file(name, key)), { recursive: true });
      writeFileSync(file(name, key), content);
    },
    dispose: () => rmSync(root, { recursive: true }),
  };
}

const thingDefinition = define({
  token: "netdisk:index:Thing",
  kind: "thing",
  doc: "A directory with some small files.",
  shared: false,
  inputs: {
    name: nameField,
    size: field(size, { doc: "Size.", canonical: canonicalSize }),
    cipher: field(z.enum(["aes", "twofish"]).default("aes"), {
      doc: "Cannot change.",
      role: "fixed",
      cure: "Make a second thing.",
    }),
    labels: field(z.array(z.string().regex(/^[a-z]+$/, "must be lower case")).default([]), {
      doc: "Labels.",
    }),
    seconds: field(z.int().min(0).optional(), { doc: "How long the work takes.", role: "unobserved" }),
    passphrase: field(z.string().min(8).default("no passphrase"), {
      doc: "Secret.",
      role: "unobserved",
      secret: true,
    }),
  },
  conditions: { active: { value: true, doc: "Runs." } },
  outputs: {
    path: field(z.string(), { doc: "Where it is." }),
    sealed: field(z.string(), { doc: "A secret that the host made.", secret: true }),
  },
});

const folder = (name: string) => `/var/lib/netdisk/things/${name}`;

/** A question to a program that no host has. */
const unaskable: Fact<[], never> = {
  name: "sandbox.unaskable",
  command: () => sh`netdisk-no-such-program`,
  parse: () => {
    throw new Error("no answer");
  },
};

export const thing = resourceType<typeof thingDefinition>({
  definition: thingDefinition,
  name: ({ name }) => name,
  check: ({ labels }) =>
    labels?.includes("forbidden") ? [{ property: "labels", reason: "must not be forbidden" }] : [],

  predict: ({ name }) => ({ path: folder(name) }),

  async observe(host, { labels }, { name }) {
    const path = folder(name);
    const { exitCode, stdout, stderr } = await host.exec(
      sh`if ! test -d ${path}; then exit 44; fi
cd ${path}
for file in size cipher labels active hidden passing foreign unreadable toolless seen; do
  if test -e $file; then echo "$file=$(cat $file)"; fi
done`,
    );
    if (exitCode === 44) return { is: "absent" };
    if (exitCode !== 0) throw new Error(stderr);
    const said = new Map(stdout.split("\n").map((line) => line.split("=") as [string, string]));
    if (said.has("unreadable"))
      throw new NetdiskError("UNREADABLE", `${host.label}: ${path}: garbage. Look.`);
    if (said.has("toolless")) await ask(host, unaskable);
    if (said.has("foreign")) return { is: "foreign", what: `${path} holds a photo`, cure: "Move it away." };
    if (said.has("hidden")) return { is: "hidden", by: "the target is stopped" };
    if (said.has("passing")) {
      const hurry = step("hurry", sh`rm ${`${path}/passing`}`);
      return { is: "hidden", by: "the target is coming up", passing: { hurry } };
    }
    return {
      is: "present",
      state: {
        name,
        size: (said.get("size") ?? "1 B") as "1 B",
        cipher: (said.get("cipher") ?? "aes") as "aes",
        labels: said.get("labels")?.split(",").filter(Boolean) ?? labels,
        active: said.get("active") === "true",
        path,
        sealed: sealedOf(name),
      },
    };
  },

  plan(observed, { name, size: wish, cipher, labels, seconds, passphrase }) {
    const path = folder(name);
    if (observed.is === "absent") {
      return [
        step("make the directory", sh`mkdir -p ${path} && printf %s ${cipher} >${`${path}/cipher`}`),
        ...work(path, seconds, passphrase),
        step("write the size", sh`printf %s ${wish} >${`${path}/size`}`),
      ];
    }
    const { state } = observed;
    const steps: RunStep[] = [];
    if (canonicalSize(state.size) !== canonicalSize(wish)) {
      steps.push(...work(path, seconds, passphrase));
      steps.push(step("write the size", sh`printf %s ${wish} >${`${path}/size`}`));
    }
    if (state.labels?.join() !== labels.join()) {
      steps.push(step("write the labels", sh`printf %s ${labels.join()} >${`${path}/labels`}`));
    }
    if (!state.active) {
      steps.push(
        step(
          "activate",
          sh`if test -e ${`${path}/broken`}; then exit 3; fi
if ! test -e ${`${path}/stuck`}; then printf true >${`${path}/active`}; fi`,
        ),
      );
    }
    return steps;
  },

  planRemoval(observed, { name }) {
    return observed.is === "absent" ? [] : [step("remove", sh`rm -r ${folder(name)}`)];
  },
});

const sealedOf = (name: string): Secret => new Secret(`sealed-${name}`);

function step(title: string, command: RunStep["command"], more: Partial<RunStep> = {}): RunStep {
  return { do: "run", title, command, ...more };
}

/** Prints what a careless tool would: the secret that it was given. */
function work(path: string, seconds: number | undefined, passphrase: Secret): RunStep[] {
  if (seconds === undefined) return [];
  const command = sh`echo run >>${`${path}/work`}; cat; echo; for i in $(seq ${seconds * 10}); do sleep 0.1; done; echo end >>${`${path}/work`}`;
  return [step("work", command, { stdin: passphrase, lock: "shared-work" })];
}
