/** nbdkit's plugin and its helper, built on the client, and the command `netdisk` (schema/session.ts). */
import {
  agentSource,
  netdiskCommand,
  scriptDir,
  sessionHelper,
  sessionManifest,
  sessionPluginFile,
} from "../../schema/paths";
import { sessionPlugin as definition } from "../../schema/session";
import { agentSources } from "../agentSources";
import { ask } from "../fact";
import { fileDigests } from "../facts/nbdBuild";
import { sh } from "../host/sh";
import { resourceType, type Step, writeStep } from "../resource";
import { render } from "../template";

const programs = [sessionPluginFile, sessionHelper];
const command = (): string => render("netdisk.sh", { dir: scriptDir, helper: sessionHelper });

/** `source DIGEST`, then the lines of sha256sum. */
function parseManifest(text: string): { source: string; digests: Record<string, string> } {
  const [first = "", ...lines] = text.trimEnd().split("\n");
  const source = /^source ([0-9a-f]{64})$/.exec(first)?.[1];
  const entries = lines.map((line) => /^([0-9a-f]{64}) {2}(\/.*)$/.exec(line));
  const digests: Record<string, string> = {};
  for (const [, digest = "", path = ""] of entries.flatMap((entry) => (entry ? [entry] : [])))
    digests[path] = digest;
  if (source === undefined || entries.some((entry) => entry === null)) {
    throw new Error(`${sessionManifest} is damaged. Remove it, and run \`pulumi up\` again.`);
  }
  return { source, digests };
}

const buildSteps = (digest: string, archive: string): Step[] => [
  {
    do: "run",
    title: "unpack the sources of netdisk's plugin",
    command: sh`rm -rf ${agentSource} && mkdir -p ${agentSource} && tar -C ${agentSource} --no-same-owner -xf -`,
    stdin: archive,
  },
  {
    do: "run",
    title: "make netdisk's plugin for nbdkit",
    command: sh`make -s -C ${agentSource} client`,
    timeoutMs: 20 * 60_000,
  },
  {
    do: "run",
    title: `install ${programs.join(", ")}`,
    // Renamed into place: a plugin that runs keeps the file it was started from.
    command: sh`set -e
mkdir -p ${scriptDir}
cd ${scriptDir}
for file in ${programs.map((path) => path.slice(scriptDir.length + 1))}; do
  install -m 0755 ${agentSource}/build/"$file" "$file.new"
  sync "$file.new"
  mv -f "$file.new" "$file"
done
{ echo ${`source ${digest}`}; sha256sum ${programs}; } >${`${sessionManifest}.new`}
sync ${`${sessionManifest}.new`}
mv -f ${`${sessionManifest}.new`} ${sessionManifest}`,
  },
];

export const sessionPlugin = resourceType<typeof definition>({
  definition,
  name: () => "netdisk",
  predict: () => ({ plugin: sessionPluginFile }),

  async observe(host) {
    const [manifest, tool] = await Promise.all([
      host.readFile(sessionManifest),
      host.readFile(netdiskCommand),
    ]);
    if (manifest === undefined) return { is: "absent" };
    const { source, digests } = parseManifest(manifest.toString());
    const found = await ask(host, fileDigests, programs);
    return {
      is: "present",
      state: {
        current: source === agentSources().digest,
        intact:
          programs.every((path) => digests[path] !== undefined && digests[path] === found[path]) &&
          tool?.toString() === command(),
        source,
        plugin: sessionPluginFile,
      },
    };
  },

  plan(observed) {
    if (observed.is === "present" && observed.state.current && observed.state.intact) return [];
    const { digest, archive } = agentSources();
    return [...buildSteps(digest, archive), writeStep(netdiskCommand, command(), 0o755)];
  },

  planRemoval(observed) {
    if (observed.is === "absent") return [];
    return [
      {
        do: "run",
        title: "remove netdisk's plugin",
        command: sh`rm -rf ${agentSource} && rm -f ${[...programs, netdiskCommand, sessionManifest]}`,
      },
    ];
  },
});
