/**
 * Neither the disk's key nor the recovery passphrase is anywhere but where it belongs, while and after a disk is made
 * and mended. Each place is searched for a planted word too: a search that misses it proves nothing.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { bytesOn, hosts, labName, on, type HostName } from "./harness/lab";
import { findIn, findInFile, needlesOf, type Needle } from "./harness/needles";
import { passphrase, projectDir, pulumi, setDisks, stateFile, testdisk, type Disk } from "./harness/project";
import { checkout } from "./harness/run";
import { startMounted } from "./harness/scenario";
import { startTrace, stopTrace } from "./harness/trace";

const minutes = (n: number) => n * 60_000;
const planted = Buffer.from("planted-word-that-every-search-must-find");
const control: Needle = { name: "planted", bytes: planted };
const onlyPlanted = { planted: expect.any(Number) as number };

const vault: Disk = { file: { size: "320 MiB" }, mount: { path: "/mnt/vault" } };
const keyFile = "/etc/netdisk/keys/vault.key";
const grpcLog = join(projectDir, "grpc.json");

let needles: Needle[];
const argvs = {} as Record<HostName, string[]>;

beforeAll(async () => {
  await startMounted();
  for (const host of hosts) await startTrace(host);
  setDisks({ testdisk, vault });
  const made = await pulumi(["up", "--yes"], { PULUMI_DEBUG_GRPC: grpcLog });
  expect(made.code, made.output).toBe(0);
  // Read back and mended once, which is when keys are used again.
  await on("client", "systemctl stop netdisk@vault.target");
  const mended = await pulumi(["up", "--yes"], { PULUMI_DEBUG_GRPC: `${grpcLog}.2` });
  expect(mended.code, mended.output).toBe(0);

  const key = await bytesOn("client", `cat ${keyFile}`);
  expect(key.length).toBe(64);
  needles = [...needlesOf("key", key), ...needlesOf("passphrase", Buffer.from(passphrase)), control];

  for (const host of hosts) {
    await on(
      host,
      `/bin/true ${planted.toString()}
       logger ${planted.toString()}
       for folder in /tmp /run /var/tmp; do echo ${planted.toString()} > $folder/planted; done
       sync`,
    );
    argvs[host] = await stopTrace(host);
  }
  await on("server", `echo ${planted.toString()} | dd of=/dev/ubdb seek=4096 conv=fsync status=none`);
}, minutes(15));

describe.each(hosts)("on the %s", (host) => {
  it("no program was started with a secret among its arguments", () => {
    expect(argvs[host].length).toBeGreaterThan(100);
    expect(findIn(Buffer.from(argvs[host].join("\n"), "latin1"), needles)).toEqual(onlyPlanted);
  });

  it("the journal holds no secret", async () => {
    expect(findIn(await bytesOn(host, "journalctl --no-pager -o export"), needles)).toEqual(onlyPlanted);
  });

  it("no file in /tmp, /run and /var/tmp holds a secret", async () => {
    // Sockets are no files to tar, and files may come and go.
    const files = await bytesOn(host, "tar -c /tmp /run /var/tmp 2>/dev/null; test $? -le 1");
    expect(findIn(files, needles)).toEqual(onlyPlanted);
  });
});

describe("the raw disks", () => {
  const disk = (file: string) => findInFile(join(checkout, ".lab", labName, file), needles);

  it(
    "of the client hold the key once: in the key's own file",
    () => expect(disk("client.cow")).toEqual({ ...onlyPlanted, "key, raw": 1 }),
    minutes(3),
  );

  it(
    "of the server hold no secret",
    () => {
      expect(disk("server.cow")).toEqual(onlyPlanted);
      expect(disk("server-disk.img")).toEqual(onlyPlanted);
    },
    minutes(3),
  );
});

describe("on the operator's machine", () => {
  it("the state holds no secret in plain text", () => {
    const known: Needle = { name: "known", bytes: Buffer.from(vault.mount.path) };
    expect(findIn(readFileSync(stateFile()), [...needles, known])).toEqual({
      known: expect.any(Number) as number,
    });
  });

  it("the key crossed no wire, and the passphrase only as a value marked secret", () => {
    const messages = [grpcLog, `${grpcLog}.2`]
      .flatMap((file) => readFileSync(file, "utf8").split("\n"))
      .filter((line) => line.includes("/pulumirpc.ResourceProvider/"));
    expect(messages.length).toBeGreaterThan(50);
    const found = findIn(Buffer.from(messages.join("\n")), needles);
    expect(Object.keys(found).filter((name) => name.startsWith("key"))).toEqual([]);
    expect(found["passphrase, raw"]).toBeGreaterThan(0);
    expect(messages.flatMap(unmarked)).toEqual([]);
  });
});

const secretMark = "1b47061264138c4ac30d75fd1eb44270";

/** Paths of the values that hold the passphrase and are not inside of one that is marked as a secret. */
function unmarked(line: string): string[] {
  const found: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value === "string" && value.includes(passphrase)) found.push(path);
    if (typeof value !== "object" || value === null) return;
    if ((value as Record<string, unknown>)["4dabf18193072939515e22adb298388d"] === secretMark) return;
    for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
  };
  const message = JSON.parse(line) as { method?: string };
  walk(message, message.method ?? "");
  return found;
}
