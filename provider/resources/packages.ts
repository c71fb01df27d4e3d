/** Debian packages, by apt. */
import { packages as definition } from "../../schema/server";
import { ask } from "../fact";
import { dpkgPackages } from "../facts/dpkg";
import { type Command, sh } from "../host/sh";
import { resourceType } from "../resource";

const keepConfiguration = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"];

/**
 * `dpkg --configure -a` ends what an interrupted run left half done; without such a rest it does nothing. The package
 * lists are fetched only when the install fails with those that are there: none yet, or so old that the archive has
 * newer files. There are four locks, and apt-get can wait for one of them (DPkg::Lock::Timeout): here each command is
 * tried again for ten minutes while another apt or dpkg works, such as apt-daily on a host that has just booted.
 */
function install(names: readonly string[]): Command {
  const get = sh`patiently apt-get install -y --no-install-recommends ${keepConfiguration} -- ${[...names]}`;
  return sh`export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none
exec 3>&1
patiently() {
  tries=0
  until said=$("$@" 2>&1 >&3); do
    case $said in
      *"lock was locked by "* | *"Could not get lock "*) ;;
      *) echo "$said" >&2; return 1 ;;
    esac
    tries=$((tries + 1))
    if [ $tries -gt 300 ]; then echo "$said" >&2; exit 1; fi
    echo "waiting for another apt or dpkg: $(echo "$said" | grep -m 1 -E 'lock was locked by |Could not get lock ')"
    sleep 2
  done
  [ -z "$said" ] || echo "$said" >&2
}
patiently dpkg --force-confdef --force-confold --configure -a || exit
${get} || { patiently apt-get update && ${get}; }`;
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
