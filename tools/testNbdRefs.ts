/**
 * `npm run test:nbd-refs -- REPOSITORY [REF…]` (tools/test-nbd-refs has the lab ready): builds each ref on the lab's client
 * by the provider's own steps, attaches a device with what came out of it, and prints a table.
 */
import { clientPackages } from "../schema/clientPackages";
import type { Definition } from "../schema/define";
import { attachedDevice, nbdPrefix, nbdStage, tunnelSocket } from "../schema/paths";
import { knownWishes } from "../provider/check";
import type { Host } from "../provider/host/host";
import { openHost } from "../provider/host/open";
import { sh } from "../provider/host/sh";
import type { Progress } from "../provider/progress";
import { reach } from "../provider/reach";
import type { Observed, ResourceType } from "../provider/resource";
import { attachment } from "../provider/resources/attachment";
import { kernelModule } from "../provider/resources/kernelModule";
import { packages } from "../provider/resources/packages";
import { sourceBuild } from "../provider/resources/sourceBuild";

const disk = "nbdrefs";
const socket = tunnelSocket(disk);
const backing = `/var/lib/${disk}.img`;
/** What is written through the device and looked for in the server's file. */
const probeBytes = 4 * 2 ** 20;

interface Row {
  ref: string;
  commit: string;
  /** `0 (12 s)` by column, or what went wrong. */
  cells: Record<string, string>;
  error?: string;
}

/** The steps that the table shows, by the beginning of their title. */
const columns = { autogen: "./autogen.sh", configure: "./configure", make: "make", install: "make install" };
const columnOf = (title: string): string | undefined =>
  Object.entries(columns)
    .reverse()
    .find(([, beginning]) => title.startsWith(beginning))?.[0];

/** Notes how each step of the table ended, and how long it took. */
function notesIn(cells: Record<string, string>): Progress {
  return {
    async during(title, work) {
      process.stderr.write(`  ${title}\n`);
      const column = columnOf(title);
      const start = Date.now();
      try {
        const result = await work(() => undefined);
        if (column) cells[column] = `0 (${Math.round((Date.now() - start) / 1000)} s)`;
        return result;
      } catch (error) {
        if (column) cells[column] = "failed";
        throw error;
      }
    },
    trace: () => undefined,
    say: (message) => void process.stderr.write(`  ${message}\n`),
  };
}

/** To the wish, or away from it, as an `up` or a destroy gets there. */
async function get<D extends Definition>(
  host: Host,
  type: ResourceType<D>,
  wish: object,
  goal: "plan" | "planRemoval" = "plan",
  progress: Progress = notesIn({}),
): Promise<Observed<D>> {
  const general = type as unknown as ResourceType;
  const wishes = knownWishes(general, { ...wish }) as never;
  const work = { type: general, host, wishes, known: { name: general.name(wishes) }, progress };
  return (await reach(work, goal)) as Observed<D>;
}

/** What nbd-server serves where a tunnel's socket would be. */
const serve = sh`set -e
systemctl stop ${disk}-server 2>/dev/null || true
mkdir -p "$(dirname ${socket})"
truncate -s 64M ${backing}
printf '[generic]\\nuser = root\\ngroup = root\\nlistenaddr = 127.0.0.1\\nunixsock = %s\\n[%s]\\nexportname = %s\\nflush = true\\n' ${socket} ${disk} ${backing} >/run/${disk}.conf
rm -f ${socket}
systemd-run --quiet --collect --unit=${disk}-server --property=Type=forking nbd-server -C /run/${disk}.conf
tries=0
until test -S ${socket}; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo "nbd-server made no socket" >&2; exit 1; }
  sleep 0.1
done`;

/** Bytes through the device must be in the server's file after a flush, and come back. */
const exchange = sh`set -e
head -c ${probeBytes} /dev/urandom >/run/${disk}.bytes
dd if=/run/${disk}.bytes of=${attachedDevice(disk)} bs=1M oflag=direct conv=fsync status=none
cmp -n ${probeBytes} /run/${disk}.bytes ${backing}
dd if=${attachedDevice(disk)} bs=1M count=4 iflag=direct status=none | cmp - /run/${disk}.bytes`;

/** Attaches as a disk's chain does: the unit and script of Attachment, with this nbd-client. */
async function attach(host: Host, client: string): Promise<void> {
  const wish = { name: disk, client, size: "64 MiB" };
  const attached = sh`grep -v '^0$' /sys/block/nbd*/size || test $? = 1`;
  const before = await host.run(attached);
  await get(host, attachment, wish);
  await host.run(exchange);
  await get(host, attachment, wish, "planRemoval");
  const left = await host.run(attached);
  if (left !== before) throw new Error(`a device is still attached after the detach: ${left}`);
}

/** Everything below the prefix that is neither program nor manifest: there must be none. */
async function expectNoDocumentation(host: Host): Promise<void> {
  const found = await host.run(
    sh`cd ${nbdPrefix} && find . ! -type d ! -path ./.netdisk.json ! -path './bin/*' ! -path './sbin/*'`,
  );
  if (found !== "") throw new Error(`installed besides the programs: ${found}`);
  const docbook = await host.exec(sh`dpkg-query -W -f '\${db:Status-Status} \${Package}\\n' 'docbook*'`);
  const installed = docbook.stdout.split("\n").filter((line) => line.startsWith("installed "));
  if (installed.length > 0) throw new Error(`docbook is installed: ${installed.join(", ")}`);
}

async function test(host: Host, repository: string, ref: string): Promise<Row> {
  process.stderr.write(`${ref}\n`);
  const cells: Record<string, string> = {};
  const row: Row = { ref, commit: "", cells };
  const wish = { repository, ref };
  try {
    await get(host, sourceBuild, wish, "planRemoval");
    await host.run(sh`rm -rf ${nbdStage}`);
    const built = await get(host, sourceBuild, wish, "plan", notesIn(cells));
    if (built.is !== "present") throw new Error("there is no build");
    row.commit = built.state.commit.slice(0, 12);
    await expectNoDocumentation(host);
    cells.attach = "failed";
    await attach(host, built.state.client);
    cells.attach = "ok";
  } catch (error) {
    row.error = error instanceof Error ? error.message : String(error);
  }
  return row;
}

const oldest = "nbd-3.16.2";

/** Every release from the oldest that we promise, and what is to become the next one. */
async function releases(host: Host, repository: string): Promise<string[]> {
  const listed = await host.run(
    sh`git ls-remote --tags --refs -- ${repository} 'nbd-[0-9]*' | sed 's|.*refs/tags/||' | grep -x 'nbd-[0-9.]*' | sort -V`,
  );
  const tags = listed.trim().split("\n");
  if (!tags.includes(oldest)) throw new Error(`${repository} has no tag ${oldest}. Name the refs to build.`);
  return [...tags.slice(tags.indexOf(oldest)), "master"];
}

async function main(): Promise<void> {
  const [sshConfig, repository, ...named] = process.argv.slice(2);
  if (sshConfig === undefined || repository === undefined) {
    throw new Error("usage: testNbdRefs SSH-CONFIG REPOSITORY [REF…] (tools/test-nbd-refs calls it)");
  }
  const host = openHost({ connection: "ssh", host: "client", sshConfig }, { bootTimeoutMs: 60_000 });
  const print = (...cells: string[]) => void process.stdout.write(`| ${cells.join(" | ")} |\n`);
  const heads = [...Object.keys(columns), "attach"];
  let failed = false;
  try {
    await get(host, packages, { name: "client", packages: clientPackages });
    await get(host, packages, { name: "server", packages: ["nbd-server"] });
    await get(host, kernelModule, {});
    await host.run(serve);
    const refs = named.length > 0 ? named : await releases(host, repository);
    print("ref", "commit", ...heads);
    print(...Array.from({ length: heads.length + 2 }, () => "---"));
    for (const ref of refs) {
      const { commit, cells, error } = await test(host, repository, ref);
      print(ref, commit, ...heads.map((head) => cells[head] ?? "–"));
      if (error === undefined) continue;
      failed = true;
      process.stderr.write(`${ref}: ${error}\n`);
    }
  } finally {
    await host.close();
  }
  process.exitCode = failed ? 1 : 0;
}

void main();
