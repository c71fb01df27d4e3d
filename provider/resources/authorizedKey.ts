/** The tunnel's key in authorized_keys of an account that can do nothing else. */
import { libDir, tunnelHome } from "../../schema/paths";
import { authorizedKey as definition } from "../../schema/server";
import { NetdiskError } from "../errors";
import { ask } from "../fact";
import { type AuthorizedLine, parseAuthorizedKeys, permitOpenOf } from "../facts/authorizedKeys";
import { statOwners, type Ownership } from "../facts/owners";
import { passwdAccount } from "../facts/passwd";
import { sshdConfig } from "../facts/sshd";
import { type Command, sh } from "../host/sh";
import { resourceType } from "../resource";
import { sshdVerdict } from "./sshdVerdict";

const sshDir = `${tunnelHome}/.ssh`;
const keysFile = `${sshDir}/authorized_keys`;
const gecos = "netdisk tunnels";
const noShell = "/usr/sbin/nologin";

const marker = (name: string): string => `netdisk:${name}`;

/**
 * `port-forwarding` opens both directions; an empty list of ports to listen on cannot be written, so it is one
 * that the account may not take.
 */
const optionsFor = (permitOpen: string): string[] => [
  "restrict",
  "port-forwarding",
  `permitopen="${permitOpen}"`,
  'permitlisten="127.0.0.1:1"',
];

interface Key {
  name: string;
  user: string;
  publicKey: string;
  permitOpen: string;
}

const lineFor = ({ name, publicKey, permitOpen }: Key): string =>
  `${optionsFor(permitOpen).join(",")} ${publicKey} ${marker(name)}`;

/** sshd reads all of it as the account; only root may write. */
const owners = (user: string): Record<string, Ownership> => ({
  [tunnelHome]: { owner: "root:root", mode: "755" },
  [sshDir]: { owner: `root:${user}`, mode: "750" },
  [keysFile]: { owner: `root:${user}`, mode: "640" },
});

function restricted(line: AuthorizedLine, all: AuthorizedLine[], permitOpen: string): boolean {
  return (
    line.options.join(",") === optionsFor(permitOpen).join(",") &&
    all.filter(({ publicKey }) => publicKey === line.publicKey).length === 1
  );
}

/** No password fits `*`; unlike `!` it does not lock the account, which sshd without PAM would refuse. */
const makeAccount = (user: string): Command => sh`if getent passwd ${user} >/dev/null; then
  usermod --shell ${noShell} ${user} || exit 1
else
  useradd --system --user-group --home-dir ${tunnelHome} --no-create-home --shell ${noShell} --password '*' --comment ${gecos} ${user} || exit 1
fi
install -d -m 0755 ${libDir} ${tunnelHome} && install -d -o root -g ${user} -m 0750 ${sshDir}`;

/** Other lines stay as they are; older ones of this disk or this key go. */
const putLine = (key: Key): Command => sh`set -e
file=${keysFile}
touch -- "$file"
{
  awk -v marker=${marker(key.name)} -v key=${key.publicKey.split(" ")[1] ?? ""} '$NF != marker && index($0, key) == 0' "$file"
  echo ${lineFor(key)}
} >"$file.new"
chown ${`root:${key.user}`} "$file.new"
chmod 0640 "$file.new"
sync -- "$file.new"
mv -fT -- "$file.new" "$file"
sync -- ${sshDir}`;

/** The account goes with its last line, together with whoever is logged in. */
const dropLine = (name: string, user: string): Command => sh`set -e
file=${keysFile}
awk -v marker=${marker(name)} '$NF != marker' "$file" >"$file.new"
chown ${`root:${user}`} "$file.new"
chmod 0640 "$file.new"
mv -fT -- "$file.new" "$file"
if grep -qvE '^[[:space:]]*(#|$)' "$file"; then exit 0; fi
test "$(getent passwd ${user} | cut -d: -f5,6)" = ${`${gecos}:${tunnelHome}`} || exit 0
uid=$(id -u ${user})
for process in /proc/[0-9]*; do
  if [ "$(stat -c %u -- "$process" 2>/dev/null)" = "$uid" ]; then kill -KILL "\${process#/proc/}" || true; fi
done
sleep 0.2
userdel ${user}
rm -f -- "$file"
rmdir --ignore-fail-on-non-empty -- ${sshDir} ${tunnelHome}`;

export const authorizedKey = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  async observe(host, { name, user }) {
    const [account, content, found, config] = await Promise.all([
      ask(host, passwdAccount, user),
      host.readFile(keysFile),
      ask(host, statOwners, Object.keys(owners(user))),
      ask(host, sshdConfig, user),
    ]);
    if (!account) return { is: "absent" };
    if (account.home !== tunnelHome) {
      return {
        is: "foreign",
        what: `the account ${user} belongs to somebody else: its home is ${account.home}`,
        cure: "Name another user for the AuthorizedKey; netdisk makes the account.",
      };
    }
    const lines = parseAuthorizedKeys(content?.toString() ?? "");
    const line = lines.find(({ comment }) => comment === marker(name));
    if (!line) return { is: "absent" };
    const permitOpen = permitOpenOf(line);
    const closed = Object.entries(owners(user)).every(
      ([path, { owner, mode }]) => found[path]?.owner === owner && found[path].mode === mode,
    );
    return {
      is: "present",
      state: {
        name,
        user,
        publicKey: line.publicKey,
        permitOpen,
        restricted:
          permitOpen !== undefined &&
          restricted(line, lines, permitOpen) &&
          closed &&
          account.shell === noShell,
        sshd: sshdVerdict(config, { user, home: account.home, keysFile, permitOpen: permitOpen ?? "" }),
      },
    };
  },

  plan(observed, inputs) {
    const state = observed.is === "present" ? observed.state : undefined;
    const right =
      state?.restricted && state.publicKey === inputs.publicKey && state.permitOpen === inputs.permitOpen;
    if (!right) {
      return [
        {
          do: "run",
          title: `account ${inputs.user} without shell and password`,
          command: makeAccount(inputs.user),
          lock: "authorized-keys",
        },
        {
          do: "run",
          title: `add the tunnel's key to ${keysFile}`,
          command: putLine(inputs),
          lock: "authorized-keys",
        },
      ];
    }
    if (state.sshd !== "accepts") {
      throw new NetdiskError(
        "CONFIG",
        `sshd's configuration forbids the tunnel: ${state.sshd}. ` +
          `Allow it for the account ${inputs.user} in /etc/ssh/sshd_config (a "Match User ${inputs.user}" block will do) and reload ssh.`,
      );
    }
    return [];
  },

  planRemoval(observed, { name, user }) {
    if (observed.is === "absent") return [];
    return [
      {
        do: "run",
        title: `take the tunnel's key out of ${keysFile}`,
        command: dropLine(name, user),
        lock: "authorized-keys",
      },
    ];
  },
});
