/** The session of one disk: the plugin that keeps and waits, and its way to the server (schema/session.ts). */
import type { Inputs } from "../../schema/define";
import {
  attachedDevice,
  diskTarget,
  givenUpFile,
  knownHostsFile,
  nbdPrefix,
  sessionAttached,
  sessionControl,
  sessionDir,
  sessionHelper,
  sessionPluginFile,
  sessionScript,
  sessionSocket,
  sessionUnit,
  sshConfigFile,
  tunnelKeyFile,
} from "../../schema/paths";
import { session as definition } from "../../schema/session";
import { formatSize, sizeBytes } from "../../schema/size";
import { ask } from "../fact";
import { environmentValue } from "../facts/process";
import { parseSettings, settingsText } from "../facts/session";
import { statPath } from "../facts/stat";
import { systemdUnit } from "../facts/systemd";
import { sh } from "../host/sh";
import { resourceType, type RunStep, writeStep } from "../resource";
import { part, raw, render } from "../template";
import { type ChainUnit, chainUnit, install, noteOf, observeUnit, systemctl, uninstall } from "./chainUnit";
import { splitEndpoint } from "./endpoint";
import { requestKiB, requestsAtOnce } from "./onTheWay";
import { inOrder } from "./takeDown";
import { jumpAsWished, proxyCommand } from "./tunnel";

type Wish = Inputs<typeof definition>;

/** What the running plugin was started with, as its environment has it. */
const settingsOf = ({ retain, ...wish }: Wish): string =>
  settingsText({ ...wish, retain: sizeBytes(retain) ?? 0 });

function settingsIn(text: string): Partial<Wish> {
  const { retain, ...settings } = parseSettings(text);
  return { jump: undefined, ...settings, retain: formatSize(retain) };
}

function unitOf(inputs: Wish): ChainUnit {
  const { name, endpoint, user, retain, jump } = inputs;
  const { host, port } = splitEndpoint(endpoint);
  const sshConfig = sshConfigFile(name);
  const { unit, script, files } = chainUnit("session", name, sessionUnit(name), {
    script: {
      device: attachedDevice(name),
      note: sessionAttached(name),
      attached: part("attached.sh"),
      statusField: part("status-field.sh"),
      dir: sessionDir(name),
      givenUp: givenUpFile(name),
      helper: sessionHelper,
      plugin: sessionPluginFile,
      retain: sizeBytes(retain) ?? 0,
      requests: requestsAtOnce,
      chunk: `${requestKiB}K`,
      client: `${nbdPrefix}/sbin/nbd-client`,
      sshConfig,
      settings: settingsOf(inputs),
    },
    service: { target: diskTarget(name), host: endpoint },
  });
  const content = render("session.ssh_config", {
    name,
    host,
    port,
    user,
    key: tunnelKeyFile(name),
    knownHosts: knownHostsFile(name),
    proxy: raw(
      jump
        ? `\tProxyCommand ${proxyCommand(name, jump)}\n`
        : `\tProxyCommand ${sessionHelper} dial %h %p\n\tProxyUseFdpass yes\n`,
    ),
  });
  return {
    unit,
    script,
    files: [writeStep(sshConfig, content), ...files],
  };
}

/** A pause for the disk, if it is attached: the plugin that comes takes up what the one that goes has kept. */
const restart = (name: string): RunStep => ({
  do: "run",
  title: `systemctl restart ${sessionUnit(name)}`,
  command: sh`systemctl restart ${sessionUnit(name)} || { journalctl --unit ${sessionUnit(name)} --lines 5 --no-pager --output cat >&2; exit 1; }
tries=0
while [ "$(${sessionScript(name)} value state)" != up ]; do
  tries=$((tries + 1))
  if [ $tries -gt 90 ]; then
    echo "no session with the server yet; the plugin goes on trying. The last reason: $(${sessionScript(name)} value reason)" >&2
    exit 1
  fi
  sleep 1
done`,
  timeoutMs: 300_000,
});

export const session = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: sessionUnit(name), socket: sessionSocket(name) }),

  satisfied: jumpAsWished,

  async observe(host, inputs) {
    const { name } = inputs;
    const unit = unitOf(inputs);
    const [{ exists, installed, active, note }, control, service] = await Promise.all([
      observeUnit(host, unit),
      ask(host, statPath, sessionControl(name)),
      ask(host, systemdUnit, unit.unit),
    ]);
    if (!exists && !active) return { is: "absent" };
    const running =
      active && service.mainPid > 0
        ? await ask(host, environmentValue, service.mainPid, "NETDISK_SETTINGS")
        : undefined;
    const { endpoint, user, retain, build, jump } = inputs;
    return {
      is: "present",
      state: {
        name,
        // What runs counts, not what would be run by a file that was changed since.
        ...(running === undefined
          ? installed
            ? { endpoint, user, retain, build, jump }
            : {}
          : settingsIn(running)),
        installed,
        active: active && running !== undefined && control?.kind === "socket",
        unit: unit.unit,
        socket: sessionSocket(name),
      },
      ...noteOf(note),
    };
  },

  plan(observed, inputs) {
    const unit = unitOf(inputs);
    const state = observed.is === "present" ? observed.state : undefined;
    const runs = state?.active === true && settingsOf({ ...inputs, ...state }) === settingsOf(inputs);
    return [...(state?.installed ? [] : install(unit)), ...(runs ? [] : [restart(inputs.name)])];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const { name } = inputs;
    const unit = unitOf(inputs);
    return [
      inOrder(name, unit.unit),
      systemctl("stop", unit),
      {
        do: "run",
        title: "see that nothing is kept that the server does not have",
        command: sh`if test -e ${`${sessionDir(name)}/retained`}; then
  echo ${`${sessionDir(name)}/retained still keeps writes that the server has not confirmed. Bring the server back and run the same again, or give them up: netdisk abort ${name}`} >&2
  exit 1
fi
rm -rf ${sessionDir(name)}`,
      },
      uninstall(unit),
    ];
  },
});
