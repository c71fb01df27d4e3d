/** nbdkit's plugin and its helper, built on the client, and the command `netdisk` (schema/session.ts). */
import { dirname } from "node:path";
import {
  agentSource,
  attachedDevice,
  givenUpFile,
  headerFile,
  mappedDevice,
  netdiskCommand,
  scriptDir,
  sessionControl,
  sessionHelper,
  sessionManifest,
  sessionPluginFile,
  sleepUnit,
  unitDir,
} from "../../schema/paths";
import { sessionPlugin as definition } from "../../schema/session";
import { agentSources } from "../agentSources";
import { NetdiskError } from "../errors";
import { ask, askFile } from "../fact";
import { aptCandidate } from "../facts/apt";
import { fileDigests } from "../facts/nbdBuild";
import { parsePluginManifest } from "../facts/pluginManifest";
import { statPath } from "../facts/stat";
import { sh } from "../host/sh";
import { resourceType, type Step, writeStep } from "../resource";
import { part, raw, render, type TemplateValue } from "../template";

const programs = [sessionPluginFile, sessionHelper];

/** A path of the disk `$name`; it stands between double quotes there. */
const ofDisk = (path: (name: string) => string) => raw(path("$name"));

export const commandHoles = (): Record<string, TemplateValue> => ({
  dir: scriptDir,
  helper: sessionHelper,
  device: ofDisk(attachedDevice),
  mapped: ofDisk(mappedDevice),
  header: ofDisk(headerFile),
  control: ofDisk(sessionControl),
  givenUp: ofDisk(givenUpFile),
  sleepUnit,
  statusField: part("status-field.sh"),
});

const command = (): string => render("netdisk.sh", commandHoles());

const sleepUnitFile = `${unitDir}/${sleepUnit}`;
const sleepUnitLink = `${unitDir}/sleep.target.requires/${sleepUnit}`;
const sleepUnitText = (): string => render("netdisk-sleep.service", { command: netdiskCommand });

/** Whether a Debian version of nbdkit is one that the plugin can be built with (agent/Makefile looks at the same). */
function suffices(version: string): boolean {
  const [, major = 0, minor = 0] = /^(?:\d+:)?(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  return major > 1 || (major === 1 && minor >= 34);
}

/** One command under one lock: of two stacks that build at once, neither takes the directory from under the other. */
const build = (digest: string, archive: string): Step => ({
  do: "run",
  title: "make and install netdisk's plugin for nbdkit",
  // Renamed into place: a plugin that runs keeps the file it was started from.
  command: sh`set -e
rm -rf ${agentSource}
mkdir -p ${agentSource} ${scriptDir}
tar -C ${agentSource} --no-same-owner -xf -
make -s -C ${agentSource} client
cd ${scriptDir}
for file in ${programs.map((path) => path.slice(scriptDir.length + 1))}; do
  install -m 0755 ${agentSource}/build/"$file" "$file.new"
  sync "$file.new"
  mv -f "$file.new" "$file"
done
{ echo ${`source ${digest}`}; sha256sum ${programs}; } >${`${sessionManifest}.new`}
sync ${`${sessionManifest}.new`}
mv -f ${`${sessionManifest}.new`} ${sessionManifest}`,
  stdin: archive,
  timeoutMs: 20 * 60_000,
});

const vetoSleep = (): Step[] => [
  writeStep(sleepUnitFile, sleepUnitText()),
  {
    do: "run",
    title: `systemctl enable ${sleepUnit}`,
    command: sh`systemctl daemon-reload && systemctl enable ${sleepUnit}`,
  },
];

export const sessionPlugin = resourceType<typeof definition>({
  definition,
  name: () => "netdisk",
  // Each disk's session is started again for another one, which a preview is to show.
  predict: () => ({ plugin: sessionPluginFile, source: agentSources().digest }),

  // Without lists of packages, or with some that apt cannot read, nobody knows before `up` has fetched them; then the build
  // refuses it.
  async suitable(host) {
    const nbdkit = await ask(host, aptCandidate, "nbdkit").catch((error: unknown) => {
      if (error instanceof NetdiskError && error.code === "UNREADABLE") return undefined;
      throw error;
    });
    if (nbdkit === undefined || suffices(nbdkit)) return;
    throw new NetdiskError(
      "CONFIG",
      `${host.label} has nbdkit ${nbdkit} in its package lists, and netdisk's plugin needs 1.34 or newer. ` +
        "Take a client that has it (Debian 13 and Ubuntu 24.04 do), or `transport: forward` for its disks.",
    );
  },

  async observe(host) {
    const [manifest, tool, unit, link] = await Promise.all([
      askFile(host, sessionManifest, parsePluginManifest, "Remove it, and run `pulumi up` again."),
      host.readFile(netdiskCommand),
      host.readFile(sleepUnitFile),
      ask(host, statPath, sleepUnitLink),
    ]);
    if (manifest === undefined) {
      const built = await Promise.all([...programs, agentSource].map((path) => ask(host, statPath, path)));
      const remains = [tool, unit, link, ...built].some((it) => it !== undefined);
      return { is: "absent", ...(remains && { remains }) };
    }
    const { source, digests } = manifest;
    const found = await ask(host, fileDigests, programs);
    return {
      is: "present",
      state: {
        current: source === agentSources().digest,
        intact:
          programs.every((path) => digests[path] !== undefined && digests[path] === found[path]) &&
          tool?.toString() === command(),
        vetoesSleep: unit?.toString() === sleepUnitText() && link?.kind === "symbolic link",
        source,
        plugin: sessionPluginFile,
      },
    };
  },

  plan(observed) {
    const state = observed.is === "present" ? observed.state : undefined;
    const { digest, archive } = agentSources();
    return [
      ...(state?.current && state.intact
        ? []
        : [build(digest, archive), writeStep(netdiskCommand, command(), 0o755)]),
      ...(state?.vetoesSleep ? [] : vetoSleep()),
    ];
  },

  planRemoval(observed) {
    if (observed.is === "absent" && !observed.remains) return [];
    return [
      {
        do: "run",
        title: "remove netdisk's plugin",
        command: sh`rm -rf ${agentSource} && rm -f ${[sleepUnitLink, sleepUnitFile, ...programs, netdiskCommand, sessionManifest]} && { rmdir ${dirname(sleepUnitLink)} 2>/dev/null || true; } && systemctl daemon-reload`,
      },
    ];
  },
});
