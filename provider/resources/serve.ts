/** One disk served to its own key, session by session (schema/session.ts, docs/session.md). */
import { createHash } from "node:crypto";
import type { Inputs } from "../../schema/define";
import {
  leaseFile,
  madeNote,
  serveConfig,
  serveConfigDir,
  serveHome,
  serveLock,
  serveRelay,
  serveScript,
  serveSocket,
  serveSocketUnit,
  serveUnit,
  serveUser,
  unitDir,
} from "../../schema/paths";
import { serve as definition } from "../../schema/session";
import { NetdiskError } from "../errors";
import { ask } from "../fact";
import { cgroupKill } from "../facts/cgroup";
import { escapeValue, parseKeyFile } from "../facts/keyFile";
import { systemdUnit } from "../facts/systemd";
import { sh } from "../host/sh";
import { type RunStep, resourceType, type Step, writeStep } from "../resource";
import { part, raw, render } from "../template";
import { type ChainUnit, install, noteOf, observeUnit, uninstall } from "./chainUnit";
import { understand } from "./export";
import { addLogin, keysFile, type Login, observeLogin, removeLogin } from "./login";
import { sshdVerdict } from "./sshdVerdict";

type Wish = Inputs<typeof definition>;

/** sshd has the account's shell run the forced command; each of its keys has one. */
const login: Login = { user: serveUser, home: serveHome, gecos: "netdisk sessions", shell: "/bin/sh" };

/** What the lease knows a key by. */
const keyId = (publicKey: string): string =>
  createHash("sha256")
    .update(Buffer.from(publicKey.split(" ")[1] ?? "", "base64"))
    .digest("hex")
    .slice(0, 16);

const optionsFor = (name: string, publicKey: string): string[] => [
  "restrict",
  `command="${serveRelay(name)} ${keyId(publicKey)}"`,
];

function unitOf({ name, exportName, user, flush, readOnly }: Wish): ChainUnit {
  const [unit, service, socket, script] = [
    serveSocketUnit(name),
    serveUnit(name),
    serveSocket(name),
    serveScript(name),
  ];
  const config = render("serve.conf", {
    name,
    unit: service,
    user,
    exportName: raw(escapeValue(exportName)),
    flush: String(flush),
    readOnly: String(readOnly),
  });
  return {
    unit,
    files: [
      writeStep(serveConfig(name), config),
      writeStep(
        serveRelay(name),
        render("serve-relay.pl", { name, user: serveUser, socket, relay: part("nbd-relay.pl") }),
        0o755,
      ),
      writeStep(
        script,
        render("serve.sh", {
          name,
          unit: service,
          config: serveConfig(name),
          lease: leaseFile(name),
          lock: serveLock(name),
          backing: exportName,
          user,
          readOnly: String(readOnly),
          made: madeNote(name),
          sameFile: part("same-file.sh"),
        }),
        0o755,
      ),
      writeStep(`${unitDir}/${service}`, render("netdisk-serve.service", { name, script })),
      writeStep(`${unitDir}/${unit}`, render("netdisk-serve.socket", { name, socket, group: serveUser })),
    ],
  };
}

const endSessions = (name: string): RunStep => ({
  do: "run",
  title: "end the session that runs",
  command: sh`systemctl stop ${serveUnit(name).replace("@", "@*")}`,
});

const settings = ["exportName", "user", "flush", "readOnly"] as const;

const userIn = (config: string): string | undefined =>
  parseKeyFile(config)
    .groups.find(({ name }) => name === "generic")
    ?.entries.find(([key]) => key === "user")?.[1];

export const serve = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ account: serveUser, unit: serveSocketUnit(name) }),

  // Whoever takes a disk over must know that nobody else writes any more (templates/serve.sh).
  async suitable(host) {
    if (await ask(host, cgroupKill)) return;
    throw new NetdiskError(
      "CONFIG",
      `${host.label} cannot end a session for certain: its control groups have no cgroup.kill. ` +
        "Take a server with Linux 5.14 or newer and the unified cgroup hierarchy (Debian 12 and Ubuntu 22.04 have both), or `transport: forward` for its disks.",
    );
  },

  async observe(host, inputs) {
    const { name } = inputs;
    const unit = unitOf(inputs);
    const [{ account, line, closed, remains, sshd }, { exists, installed, active, note }, systemd, config] =
      await Promise.all([
        observeLogin(host, login, name, inputs.publicKey),
        observeUnit(host, unit),
        ask(host, systemdUnit, unit.unit),
        host.readFile(serveConfig(name)),
      ]);
    if (account && account.home !== serveHome) {
      return {
        is: "foreign",
        what: `the account ${serveUser} belongs to somebody else: its home is ${account.home}`,
        cure: "Rename that account; netdisk makes its own.",
      };
    }
    if (!line && !exists) return { is: "absent", ...(remains && { remains }) };
    const text = config?.toString() ?? "";
    const { exportName, flush, readOnly } = understand(name, text);
    return {
      is: "present",
      state: {
        name,
        publicKey: line?.publicKey,
        exportName,
        user: userIn(text),
        flush,
        readOnly,
        restricted:
          line?.options.join(",") === optionsFor(name, line?.publicKey ?? "").join(",") &&
          closed &&
          account?.shell === login.shell,
        sshd: sshdVerdict(sshd, { user: serveUser, home: serveHome, keysFile: keysFile(login) }),
        installed,
        enabled: systemd.unitFileState === "enabled",
        active,
        account: serveUser,
        unit: unit.unit,
      },
      ...noteOf(note),
    };
  },

  plan(observed, inputs) {
    const { name, publicKey } = inputs;
    const unit = unitOf(inputs);
    const state = observed.is === "present" ? observed.state : undefined;
    const steps: Step[] = [];
    if (!state?.restricted || state.publicKey !== publicKey) {
      steps.push(...addLogin(login, name, optionsFor(name, publicKey), publicKey));
    } else if (state.sshd !== "accepts") {
      throw new NetdiskError(
        "CONFIG",
        `sshd's configuration forbids the session: ${state.sshd}. ` +
          `Allow it for the account ${serveUser} in /etc/ssh/sshd_config (a "Match User ${serveUser}" block will do) and reload ssh.`,
      );
    }
    if (!state?.installed || settings.some((key) => state[key] !== inputs[key])) {
      // The client waits a moment and has its next session with the new settings.
      steps.push(...install(unit), ...(state ? [endSessions(name)] : []));
    }
    if (!state?.enabled || !state.active || !state.installed) {
      steps.push({
        do: "run",
        title: `systemctl enable --now ${unit.unit}`,
        command: sh`systemctl unmask --quiet ${unit.unit} && systemctl enable --quiet ${unit.unit} && systemctl restart ${unit.unit}`,
      });
    }
    return steps;
  },

  planRemoval(observed, { name, ...inputs }) {
    const account = removeLogin(login, name, inputs.publicKey);
    if (observed.is === "absent") return observed.remains ? [account] : [];
    const unit = unitOf({ name, ...inputs });
    return [
      {
        do: "run",
        title: `systemctl disable --now ${unit.unit}`,
        command: sh`rm -f ${`${unitDir}/sockets.target.wants/${unit.unit}`} && { systemctl stop ${unit.unit} || [ $? = 5 ]; }`,
      },
      endSessions(name),
      uninstall(unit),
      {
        do: "run",
        title: `remove ${serveConfigDir}, if no other disk is served`,
        command: sh`test ! -d ${serveConfigDir} || rmdir --ignore-fail-on-non-empty -p ${serveConfigDir}`,
      },
      account,
    ];
  },
});
