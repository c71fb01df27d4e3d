/**
 * netdisk as others get it: packed, installed in an empty project elsewhere, and the programs of docs/library.md run
 * as they stand there, in TypeScript and in YAML.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { parse, stringify } from "yaml";
import { isMounted, lab, mounted, on, sshConfig } from "./harness/lab";
import { filesOf } from "./harness/page";
import { config, engineIn, passphrase, pulumi as checkoutsPulumi } from "./harness/project";
import { checkout, must, pause, run, type Ended } from "./harness/run";
import { ladder, startMounted } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;
const page = "docs/library.md";
const path = "/mnt/photos";
const marker = `${path}/marker`;

const folder = mkdtempSync(join(tmpdir(), "netdisk-library-"));
const env = engineIn(folder);

const write = (files: Record<string, string>) => {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
};

/** @param through the command that runs it, such as `lab/lab exec` */
const pulumi = (args: string[], through: string[] = []): Promise<Ended> =>
  run([...through, "pulumi", ...args, "--non-interactive"], { cwd: folder, env });

async function succeeds(args: string[], through?: string[]): Promise<string> {
  const { code, output } = await pulumi(args, through);
  expect(code, output).toBe(0);
  return output;
}

const up = ["up", "--yes", "--skip-preview"];
const destroy = ["destroy", "--yes", "--skip-preview"];

/** The second `up` finds nothing to do. */
async function unchanged(through?: string[]): Promise<void> {
  expect(await succeeds(up, through)).toMatch(/^Resources:\s+\d+ unchanged\s*$/m);
  await succeeds(["preview", "--expect-no-changes"], through);
}

/** A stack of its own over the program that is there, with its configuration. */
async function newStack(stack: string, settings: Record<string, unknown>, secrets: Record<string, string>) {
  configure(stack, settings);
  await succeeds(["stack", "init", stack]);
  for (const [key, secret] of Object.entries(secrets)) {
    // By stdin: a private key has more lines than one.
    const set = ["pulumi", "config", "set", "--secret", key, "--non-interactive"];
    await must(set, { cwd: folder, env, stdin: secret });
  }
}

/** Writes the plain part of a stack's configuration; what the engine has added stays. */
function configure(stack: string, settings: Record<string, unknown>): void {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  const plain = Object.entries(settings).map(([key, value]) => [`backups:${key}`, value] as const);
  const before = existsSync(file)
    ? (parse(readFileSync(file, "utf8")) as { config: object })
    : { config: {} };
  writeFileSync(file, stringify({ ...before, config: { ...before.config, ...Object.fromEntries(plain) } }));
}

async function expectMarker(): Promise<void> {
  await mounted(path);
  expect(await on("client", `cat ${marker}`)).toBe("written once");
}

/** The server's other address. */
const moved = "10.77.0.12";

/** How this machine reaches the server by its addresses; no key, and nothing of this machine's own. */
function byAddress(): string {
  const lines = readFileSync(sshConfig, "utf8").split("\n");
  const of = (key: string) => lines.find((line) => line.trim().startsWith(`${key} `)) ?? "";
  const file = join(folder, "ssh_config");
  const pinned = ["  HostKeyAlias server", of("UserKnownHostsFile"), of("GlobalKnownHostsFile")];
  writeFileSync(file, ["Host 10.77.0.*", ...pinned, of("ProxyCommand"), ""].join("\n"));
  return file;
}

async function newKey(name: string): Promise<{ file: string; line: string }> {
  const file = join(folder, name);
  await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file]);
  return { file, line: readFileSync(`${file}.pub`, "utf8").trim() };
}

/**
 * root of the server lets in another key than before, and neither that nor the disk's session by the old address; this
 * test's own way in stays.
 */
const move = (old: string, key: string) =>
  on(
    "server",
    `set -e
     ip address add ${moved}/24 dev "$(ip -o route get 10.77.0.3 | sed 's/.* dev \\([^ ]*\\) .*/\\1/')"
     grep -v ' ${old}$' /root/.ssh/authorized_keys >/root/.ssh/lab_keys
     { cat /root/.ssh/lab_keys; echo '${key}'; } >/root/.ssh/authorized_keys
     printf '%s\\n' 'Match LocalAddress 10.77.0.2 User root' '  AuthorizedKeysFile .ssh/lab_keys' \\
       'Match LocalAddress 10.77.0.2 User netdisk-serve' '  PubkeyAuthentication no' >/etc/ssh/sshd_config.d/moved.conf
     systemctl reload ssh`,
  );

/** Packs what `npm run build` has made, and installs it where nothing else is. */
async function install(): Promise<void> {
  await must(["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder]);
  write({ "package.json": '{ "private": true }\n' });
  const command = "npm install --silent --prefer-offline ./netdisk-*.tgz typescript @types/node";
  await must(["sh", "-c", command], { cwd: folder });
  await must([join(checkout, "tools/engine/build-yaml")]);
  for (const name of ["home", "state"]) mkdirSync(join(folder, name));
}

/** Two hosts without a disk. nbd's finished build is still there, which saves minutes. */
async function emptyHosts(): Promise<void> {
  await startMounted();
  const { code, output } = await checkoutsPulumi(destroy);
  expect(code, output).toBe(0);
}

beforeAll(async () => {
  await Promise.all([install(), emptyHosts()]);
}, minutes(40));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the library", () => {
  const step = ladder();
  const program = filesOf(page, "In TypeScript");
  const server = () => ({ host: "10.77.0.2", user: "root", sshConfig: byAddress() });

  step(
    "fifteen lines of TypeScript bring up a disk",
    async () => {
      write(program);
      const key = await newKey("before");
      await on("server", `echo '${key.line}' >>/root/.ssh/authorized_keys`);
      await newStack(
        "typescript",
        { server: { ...server(), identityFile: key.file }, client: config.client },
        { passphrase },
      );
      await succeeds(up);
      expect(await succeeds(["stack", "output", "mountPath"])).toBe(`${path}\n`);
      await mounted(path);
      await on("client", `echo written once >${marker} && sync -f ${marker}`);
    },
    minutes(25),
  );

  step("a second run changes nothing", () => unchanged(), minutes(8));

  step(
    "address and SSH key of the server change",
    async () => {
      const key = await newKey("after");
      await move("before", key.line);
      configure("typescript", { server: { ...server(), host: moved, identityFile: key.file } });
      const { code, output } = await pulumi(up);
      expect(code, output).not.toBe(0);
      expect(output).toContain("pulumi up --refresh --run-program");
      await succeeds([...up, "--refresh", "--run-program"]);
      await expectMarker();
      expect(await on("client", "cat /etc/netdisk/tunnel/photos.ssh_config")).toContain(moved);
      await unchanged();
    },
    minutes(12),
  );

  step(
    "YAML brings up the same disk again",
    async () => {
      await succeeds(destroy);
      expect(await isMounted(path)).toBe(false);
      await on("server", "rm /etc/ssh/sshd_config.d/moved.conf && systemctl reload ssh");
      for (const file of Object.keys(program)) rmSync(join(folder, file));
      write(filesOf(page, "In YAML"));
      await newStack("yaml", { server: config.server, client: config.client }, { passphrase });
      await succeeds(up);
      await expectMarker();
      expect(await succeeds(["stack", "output", "unit"])).toBe("netdisk@photos.target\n");
      await unchanged();
      await succeeds(destroy);
      expect(await isMounted(path)).toBe(false);
    },
    minutes(20),
  );

  step(
    "the server is another resource's, and still off when the run begins",
    async () => {
      const { "server.ts": other = "" } = filesOf(page, "A server that is yet to be made");
      write({
        ...program,
        "index.ts": program["index.ts"]!.replace(/^const server = .*\n/m, () => other),
        // Like that of a virtual machine, its address is known when it has been made.
        "vm.ts": `import * as pulumi from "@pulumi/pulumi";
class Machine extends pulumi.Stash {
  readonly ipv4Address = this.id.apply(() => "10.77.0.2");
}
export const vm = new Machine("vm", { input: "a virtual machine" });
`,
      });
      const inLab = [join(checkout, "lab/lab"), "exec"];
      const [, identity = ""] = /IdentityFile (\S+)/.exec(readFileSync(sshConfig, "utf8")) ?? [];
      const knownHosts = readFileSync(join(dirname(sshConfig), "known_hosts"), "utf8");
      const [, hostKey = ""] = /^server\S* (.*)$/m.exec(knownHosts) ?? [];
      const privateKey = readFileSync(identity, "utf8");
      await newStack("machine", { client: config.client, hostKey }, { passphrase, privateKey });

      await lab("power", "cut", "server");
      expect(await succeeds(["preview"], inLab)).toMatch(/\+ \d+ to create/);
      const running = pulumi(up, inLab);
      await pause(20);
      await lab("power", "on", "server");
      const { code, output } = await running;
      expect(code, output).toBe(0);
      await expectMarker();
      await unchanged(inLab);

      // What lies on the machine goes with the machine: nobody asks it to clean up.
      await succeeds(destroy, inLab);
      expect(await isMounted(path)).toBe(false);
      expect(await on("server", "ls /etc/netdisk/serve")).toBe("photos.conf");
    },
    minutes(20),
  );
});
