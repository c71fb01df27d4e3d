/** Debian packages, by apt. */
import { packages as definition } from "../../schema/server";
import { ask } from "../fact";
import { dpkgPackages } from "../facts/dpkg";
import { type Command, sh } from "../host/sh";
import { resourceType } from "../resource";

const keepConfiguration = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"];
const waitForLock = ["-o", "DPkg::Lock::Timeout=600"];

/**
 * `dpkg --configure -a` ends what an interrupted run left half done; without such a rest it does nothing. It
 * cannot wait for its lock, apt-get can. The package lists are fetched only when the install fails with those
 * that are there: none yet, or so old that the archive has newer files.
 */
function install(names: readonly string[]): Command {
  const get = sh`apt-get install -y --no-install-recommends ${[...waitForLock, ...keepConfiguration]} -- ${[...names]}`;
  return sh`export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
tries=0
until said=$(dpkg --force-confdef --force-confold --configure -a 2>&1); do
  case $said in
    *"lock was locked by "*) ;;
    *) echo "$said" >&2; exit 1 ;;
  esac
  tries=$((tries + 1))
  if [ $tries -gt 300 ]; then echo "$said" >&2; exit 1; fi
  sleep 2
done
${get} || { apt-get update ${waitForLock} && ${get}; }`;
}

export const packages = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  // Each stack gets what it asks for; more packages than that hurt nobody.
  conflicts: () => undefined,

  async observe(host, inputs) {
    const known = await ask(host, dpkgPackages, inputs.packages);
    const installed = inputs.packages.filter((name) => known[name]?.status === "installed");
    const [first, ...more] = installed;
    if (first === undefined) return { is: "absent" };
    const versions = Object.fromEntries(installed.map((name) => [name, known[name]?.version ?? ""]));
    return { is: "present", state: { name: inputs.name, packages: [first, ...more], versions } };
  },

  plan(observed, inputs) {
    const installed: readonly string[] = observed.is === "present" ? (observed.state.packages ?? []) : [];
    const missing = [...new Set(inputs.packages)].filter((name) => !installed.includes(name)).sort();
    if (missing.length === 0) return [];
    return [
      {
        do: "run",
        title: `apt-get install ${missing.join(" ")}`,
        command: install(missing),
        timeoutMs: 30 * 60_000,
        lock: "apt",
      },
    ];
  },

  planRemoval: () => [],
});
