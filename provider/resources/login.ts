/** An account on the server that can do nothing but what its lines in authorized_keys say, one line for each disk. */
import { libDir } from "../../schema/paths";
import { ask } from "../fact";
import { type AuthorizedLine, parseAuthorizedKeys } from "../facts/authorizedKeys";
import { statOwners, type Ownership } from "../facts/owners";
import { type Account, passwdAccount } from "../facts/passwd";
import { type SshdConfig, sshdConfig } from "../facts/sshd";
import type { Host } from "../host/host";
import { type Command, sh } from "../host/sh";
import type { RunStep } from "../resource";

export interface Login {
  user: string;
  home: string;
  /** Full name: tells our account from others. */
  gecos: string;
  shell: string;
}

const sshDir = ({ home }: Login): string => `${home}/.ssh`;
export const keysFile = (login: Login): string => `${sshDir(login)}/authorized_keys`;
const marker = (name: string): string => `netdisk:${name}`;

/** sshd reads all of it as the account; only root may write. */
const owners = (login: Login): Record<string, Ownership> => ({
  [login.home]: { owner: "root:root", mode: "755" },
  [sshDir(login)]: { owner: `root:${login.user}`, mode: "750" },
  [keysFile(login)]: { owner: `root:${login.user}`, mode: "640" },
});

/** No password fits `*`; unlike `!` it does not lock the account, which sshd without PAM would refuse. */
const makeAccount = (login: Login): Command => {
  const { user, home, gecos, shell } = login;
  return sh`if getent passwd ${user} >/dev/null; then
  usermod --shell ${shell} ${user} || exit 1
else
  useradd --system --user-group --home-dir ${home} --no-create-home --shell ${shell} --password '*' --comment ${gecos} ${user} || exit 1
fi
install -d -m 0755 ${libDir} ${home} && install -d -o root -g ${user} -m 0750 ${sshDir(login)}`;
};

/** Other lines stay as they are; older ones of this disk or this key go. */
const putLine = (
  login: Login,
  name: string,
  options: readonly string[],
  publicKey: string,
): Command => sh`set -e
file=${keysFile(login)}
touch -- "$file"
{
  awk -v marker=${marker(name)} -v key=${publicKey.split(" ")[1] ?? ""} '$NF != marker && index($0, key) == 0' "$file"
  echo ${`${options.join(",")} ${publicKey} ${marker(name)}`}
} >"$file.new"
chown ${`root:${login.user}`} "$file.new"
chmod 0640 "$file.new"
sync -- "$file.new"
mv -fT -- "$file.new" "$file"
sync -- ${sshDir(login)}`;

/** The account goes with its last line, together with whoever is logged in. */
const dropLine = (login: Login, name: string): Command => {
  const { user, home, gecos } = login;
  return sh`set -e
file=${keysFile(login)}
awk -v marker=${marker(name)} '$NF != marker' "$file" >"$file.new"
chown ${`root:${user}`} "$file.new"
chmod 0640 "$file.new"
mv -fT -- "$file.new" "$file"
if grep -qvE '^[[:space:]]*(#|$)' "$file"; then exit 0; fi
test "$(getent passwd ${user} | cut -d: -f5,6)" = ${`${gecos}:${home}`} || exit 0
uid=$(id -u ${user})
for process in /proc/[0-9]*; do
  if [ "$(stat -c %u -- "$process" 2>/dev/null)" = "$uid" ]; then kill -KILL "\${process#/proc/}" || true; fi
done
sleep 0.2
userdel ${user}
rm -f -- "$file"
rmdir --ignore-fail-on-non-empty -- ${sshDir(login)} ${home}`;
};

export interface FoundLogin {
  account: Account | undefined;
  /** The disk's line. */
  line: AuthorizedLine | undefined;
  /** No other line has the disk's key, and the account can write to nothing of this. */
  closed: boolean;
  sshd: SshdConfig;
}

export async function observeLogin(host: Host, login: Login, name: string): Promise<FoundLogin> {
  const [account, content, found, sshd] = await Promise.all([
    ask(host, passwdAccount, login.user),
    host.readFile(keysFile(login)),
    ask(host, statOwners, Object.keys(owners(login))),
    ask(host, sshdConfig, login.user),
  ]);
  const lines = parseAuthorizedKeys(content?.toString() ?? "");
  const line = lines.find(({ comment }) => comment === marker(name));
  const closed =
    lines.filter(({ publicKey }) => publicKey === line?.publicKey).length === 1 &&
    Object.entries(owners(login)).every(
      ([path, { owner, mode }]) => found[path]?.owner === owner && found[path].mode === mode,
    );
  return { account, line, closed, sshd };
}

const lock = "authorized-keys";

export const addLogin = (
  login: Login,
  name: string,
  options: readonly string[],
  publicKey: string,
): RunStep[] => [
  {
    do: "run",
    title: `account ${login.user} without ${login.shell.endsWith("nologin") ? "shell and password" : "password"}`,
    command: makeAccount(login),
    lock,
  },
  {
    do: "run",
    title: `add the disk's SSH key to ${keysFile(login)}`,
    command: putLine(login, name, options, publicKey),
    lock,
  },
];

export const removeLogin = (login: Login, name: string): RunStep => ({
  do: "run",
  title: `take the disk's SSH key out of ${keysFile(login)}`,
  command: dropLine(login, name),
  lock,
});
