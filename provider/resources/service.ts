/** nbd-server.service: at boot, running, on loopback only, restarted without dropping disks. */
import {
  nbdServerConfig,
  nbdServerDropIn,
  nbdServerHook,
  nbdServerIncludeDir,
  nbdServerRecord,
  nbdServerSince,
  nbdServerUnit,
} from "../../schema/paths";
import { service as definition } from "../../schema/server";
import { NetdiskError } from "../errors";
import { ask } from "../fact";
import { cgroupProcesses } from "../facts/cgroup";
import { nbdServerSections } from "../facts/nbdServer";
import { formatListener, isLoopback, type Listener, ssListening } from "../facts/ss";
import type { Host } from "../host/host";
import { sh } from "../host/sh";
import { resourceType, type Step, writeStep } from "../resource";
import { render } from "../template";
import { lookAtNbdServer, restart } from "./nbdServer";

const dropInText = (): string =>
  render("nbd-server.service.conf", { includeDir: nbdServerIncludeDir, script: nbdServerHook });

const hookText = (): string =>
  render("nbd-server-hook.sh", {
    record: nbdServerRecord,
    since: nbdServerSince,
    config: nbdServerConfig,
    includeDir: nbdServerIncludeDir,
  });

const isNbdServer = ({ processes }: Listener): boolean => processes.some(({ name }) => name === "nbd-server");

/** Process ids of open sockets that the unit's processes do not hold: a restart would not close them. */
async function strays(host: Host, open: Listener[]): Promise<number[]> {
  if (open.length === 0) return [];
  const own = await ask(host, cgroupProcesses, nbdServerUnit);
  return open.flatMap(({ processes }) => processes.map(({ pid }) => pid)).filter((pid) => !own.includes(pid));
}

export const service = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.unit.replace(/\.service$/, ""),

  async observe(host, inputs) {
    const [{ unit, active }, dropIn, hook, sockets, sections] = await Promise.all([
      lookAtNbdServer(host),
      host.readFile(nbdServerDropIn),
      host.readFile(nbdServerHook),
      ask(host, ssListening),
      ask(host, nbdServerSections, nbdServerIncludeDir),
    ]);
    const written = dropIn !== undefined || hook !== undefined;
    if (unit.loadState === "not-found") return { is: "absent", ...(written && { remains: written }) };
    const listeners = sockets.filter(isNbdServer);
    const open = listeners.filter(({ address }) => !isLoopback(address));
    const [stray] = await strays(host, open);
    if (stray !== undefined) {
      return {
        is: "foreign",
        what: `an nbd-server that ${nbdServerUnit} did not start (process ${stray}) listens on ${open.map(formatListener).join(", ")}`,
        cure: `End it on the host (\`kill ${stray}\`), or run it where netdisk does not; then run \`pulumi up\` again.`,
      };
    }
    return {
      is: "present",
      state: {
        unit: inputs.unit,
        enabled: unit.unitFileState === "enabled" || unit.unitFileState === "generated",
        active: active || (sections.length === 0 && unit.activeState === "inactive"),
        dropIn:
          dropIn?.toString() === dropInText() && hook?.toString() === hookText() && !unit.needDaemonReload,
        loopbackOnly: open.length === 0,
        listening: listeners.map(formatListener).sort(),
        written,
      },
    };
  },

  plan(observed) {
    if (observed.is === "absent") {
      throw new NetdiskError(
        "CONFIG",
        `there is no ${nbdServerUnit}. Install nbd-server first, with a Packages resource that this one depends on.`,
      );
    }
    const { state } = observed;
    const steps: Step[] = [];
    if (!state.dropIn) {
      steps.push(writeStep(nbdServerHook, hookText(), 0o755), writeStep(nbdServerDropIn, dropInText()), {
        do: "run",
        title: "systemctl daemon-reload",
        // The package starts it without exports, which counts as a failure until somebody says otherwise.
        command: sh`systemctl daemon-reload && { ! systemctl is-failed -q ${nbdServerUnit} || systemctl reset-failed ${nbdServerUnit}; }`,
      });
    }
    if (!state.enabled) {
      steps.push({
        do: "run",
        title: `systemctl enable ${nbdServerUnit}`,
        command: sh`systemctl enable ${nbdServerUnit} || { systemctl unmask ${nbdServerUnit} && systemctl enable ${nbdServerUnit}; }`,
      });
    }
    // Whether it runs is only certain once the rest is in place: a failed one may be resting by then.
    if (steps.length === 0 && (!state.active || !state.loopbackOnly)) steps.push(restart());
    return steps;
  },

  planRemoval(observed) {
    const files = sh`rm -f -- ${nbdServerDropIn} ${nbdServerHook} ${nbdServerRecord} ${nbdServerSince}
rmdir --ignore-fail-on-non-empty -- ${nbdServerDropIn.slice(0, nbdServerDropIn.lastIndexOf("/"))}
systemctl daemon-reload || exit 1`;
    const lock = "nbd-server";
    // Without the package there is nothing to disable.
    if (observed.is === "absent")
      return observed.remains ? [{ do: "run", title: `rm ${nbdServerDropIn}`, command: files, lock }] : [];
    if (!observed.state.written) return [];
    return [
      {
        do: "run",
        title: `systemctl disable --now ${nbdServerUnit}`,
        // Whoever has exports of their own keeps the service. Without the drop-in a stop ends all sessions.
        command: sh`${files}
for file in ${nbdServerIncludeDir}/*.conf; do
  if test -f "$file"; then exit 0; fi
done
systemctl disable --now ${nbdServerUnit}`,
        lock,
      },
    ];
  },
});
