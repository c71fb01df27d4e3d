/** The SSH tunnel of one disk and its unit (schema/client.ts, docs/units.md). */
import { tunnel as definition } from "../../schema/client";
import type { Inputs } from "../../schema/define";
import { joinEndpoint } from "../../schema/endpoint";
import {
  diskTarget,
  knownHostsFile,
  tunnelKeyFile,
  tunnelSocket,
  tunnelUnit,
  unitScript,
} from "../../schema/paths";
import { ask } from "../fact";
import { inUse } from "../facts/deviceUsers";
import { commandLine } from "../facts/process";
import { tunnelWords } from "../facts/sshWords";
import { statPath } from "../facts/stat";
import { systemdUnit } from "../facts/systemd";
import { keyInput } from "../facts/plainKey";
import { sh } from "../host/sh";
import { type RunStep, resourceType } from "../resource";
import { raw, systemdWord } from "../template";
import { type ChainUnit, install, noteOf, observeUnit, systemctl, unitOnly, uninstall } from "./chainUnit";
import { bringUp, bringUpLater, inOrder, takeDown } from "./takeDown";
import { splitEndpoint } from "./endpoint";

type Wishes = Inputs<typeof definition>;

/**
 * `ssh -J` would take the jump host's key and settings from root's configuration. Words of letters, digits and
 * `/._@+:-` only (schema/client.ts), so that neither ssh's shell nor sshWords.ts has quotes to read.
 */
export function proxyCommand(
  name: string,
  { endpoint, user, identityFile }: NonNullable<Wishes["jump"]>,
): string {
  const { host, port } = splitEndpoint(endpoint);
  return [
    ...["/usr/bin/ssh", "-T", "-F", "none", "-i", identityFile, "-p", port, "-l", user],
    ...["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"],
    ...["-o", `UserKnownHostsFile=${knownHostsFile(name)}`, "-o", "GlobalKnownHostsFile=none"],
    ...["-o", "UpdateHostKeys=no", "-o", "ConnectTimeout=10"],
    ...["-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3"],
    ...["-W", "[%h]:%p", "--", host],
  ].join(" ");
}

function unitOf({ name, endpoint, user, remote, jump }: Wishes): ChainUnit {
  const { host, port } = splitEndpoint(endpoint);
  return unitOnly(tunnelUnit(name), "netdisk-tunnel.service", {
    name,
    target: diskTarget(name),
    host,
    port,
    user,
    key: tunnelKeyFile(name),
    knownHosts: knownHostsFile(name),
    forward: `${tunnelSocket(name)}:${remote}`,
    proxy: raw(jump ? `-o ${systemdWord(`ProxyCommand=${proxyCommand(name, jump)}`)} ` : ""),
  });
}

const sameJump = (a: Wishes["jump"], b: Wishes["jump"]): boolean =>
  a?.endpoint === b?.endpoint && a?.user === b?.user && a?.identityFile === b?.identityFile;

/** For `satisfied`: not to name a host on the way means that there shall be none. */
export const jumpAsWished = (
  property: string,
  state: Partial<Pick<Wishes, "jump">>,
  wishes: Pick<Wishes, "jump">,
): boolean | undefined => (property === "jump" ? sameJump(state.jump, wishes.jump) : undefined);

/** What the running ssh was told; nothing where it is not a tunnel of our form. */
function settingsOf(words: string[] | undefined, socket: string): Partial<Omit<Wishes, "keyPassphrase">> {
  const told = tunnelWords(words ?? []);
  if (!told) return {};
  const { forward, proxy } = told;
  return {
    endpoint: joinEndpoint(told.host, told.port),
    user: told.user,
    jump: proxy && {
      endpoint: joinEndpoint(proxy.host, proxy.port),
      user: proxy.user,
      identityFile: proxy.identityFile,
    },
    remote: forward.startsWith(`${socket}:`) ? forward.slice(socket.length + 1) : forward,
  };
}

/**
 * The disk goes through it: what is above is taken down first and brought up again. A tunnel that cannot be built
 * says why in the journal, not to systemctl: wait for its socket.
 */
const restart = ({ name, keyPassphrase }: Inputs<typeof definition>): RunStep => ({
  do: "run",
  title: `systemctl restart ${tunnelUnit(name)}, with what is above it`,
  command: sh`${takeDown(name)}
if systemctl is-active --quiet $attach; then
  was="$was $attach"
  systemctl stop $attach || exit 1
fi
if systemctl restart ${tunnelUnit(name)}; then
  tries=0
  until test -S ${tunnelSocket(name)} || [ $tries -gt 60 ]; do
    tries=$((tries + 1))
    sleep 0.5
  done
fi
if ! test -S ${tunnelSocket(name)}; then
  echo "the tunnel does not come up; its last messages:" >&2
  journalctl --unit ${tunnelUnit(name)} --lines 5 --no-pager --output cat >&2
  ${bringUpLater}
  exit 1
fi
# An attachment that looks for it elsewhere is made anew next.
if ! grep -qsF ${tunnelSocket(name)} ${unitScript("attach", name)}; then
  ${bringUpLater}
  exit 0
fi
${bringUp("the tunnel is up", { name, keyPassphrase })}`,
  stdin: keyInput({ keyPassphrase }),
  timeoutMs: 540_000,
  inUse,
});

export const tunnel = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: tunnelUnit(name), socket: tunnelSocket(name) }),

  satisfied: jumpAsWished,

  async observe(host, inputs) {
    const { name } = inputs;
    const unit = unitOf(inputs);
    const [{ exists, installed, active, note }, socket, service] = await Promise.all([
      observeUnit(host, unit),
      ask(host, statPath, tunnelSocket(name)),
      ask(host, systemdUnit, unit.unit),
    ]);
    if (!exists && !active) return { is: "absent" };
    const words = service.mainPid > 0 ? await ask(host, commandLine, service.mainPid) : undefined;
    const configured = installed
      ? { endpoint: inputs.endpoint, user: inputs.user, remote: inputs.remote, jump: inputs.jump }
      : {};
    return {
      is: "present",
      state: {
        name,
        ...configured,
        // What runs counts, not what would be run by a file that was changed since.
        ...(active ? settingsOf(words, tunnelSocket(name)) : {}),
        installed,
        active: active && socket?.kind === "socket",
        unit: unit.unit,
        socket: tunnelSocket(name),
      },
      ...noteOf(note),
    };
  },

  plan(observed, inputs) {
    const unit = unitOf(inputs);
    const state = observed.is === "present" ? observed.state : undefined;
    const runs =
      state?.active === true &&
      state.endpoint === inputs.endpoint &&
      state.user === inputs.user &&
      state.remote === inputs.remote &&
      sameJump(state.jump, inputs.jump);
    return [...(state?.installed ? [] : install(unit)), ...(runs ? [] : [restart(inputs)])];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const unit = unitOf(inputs);
    // Another text of the unit may have systemd remove more with it than what is the tunnel's.
    const ours = observed.state.installed ? [] : install(unit);
    return [inOrder(inputs.name, unit.unit), ...ours, systemctl("stop", unit), uninstall(unit)];
  },
});
