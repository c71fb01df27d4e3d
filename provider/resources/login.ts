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
const markers = "netdisk:";
const marker = (name: string): string => `${markers}${name}`;

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

/** A key is one disk's: a line of it is this disk's also where somebody gave it another comment. */
const keyOf = (publicKey: string): string => publicKey.split(" ")[1] ?? "";

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
  awk -v marker=${marker(name)} -v key=${keyOf(publicKey)} '$NF != marker && index($0, key) == 0' "$file"
  echo ${`${options.join(",")} ${publicKey} ${marker(name)}`}
} >"$file.new"
chown ${`root:${login.user}`} "$file.new"
chmod 0640 "$file.new"
sync -- "$file.new"
mv -fT -- "$file.new" "$file"
sync -- ${sshDir(login)}`;

/** A blank line or a comment keeps no account; whatever else somebody wrote there does. */
const empty = /^\s*(#|$)/;

/**
 * The account goes with its last line, together with whoever is logged in. Each of these things may be gone already, by
 * somebody's hand or with a removal of another disk's.
 */
const dropLine = (login: Login, name: string, publicKey: string): Command => {
  const { user, home, gecos } = login;
  return sh`set -e
file=${keysFile(login)}
found=$(getent passwd ${user}) || [ $? = 2 ]
if test -e "$file"; then
  awk -v marker=${marker(name)} -v key=${keyOf(publicKey)} -v markers=${markers} '$NF != marker && (index($0, key) == 0 || index($NF, markers) == 1)' "$file" >"$file.new"
  chown "root:$(test -z "$found" || echo ${user})" "$file.new"
  chmod 0640 "$file.new"
  mv -fT -- "$file.new" "$file"
  if grep -qvE '^[[:space:]]*(#|$)' "$file"; then exit 0; fi
fi
if [ -n "$found" ]; then
  test "$(echo "$found" | cut -d: -f5,6)" = ${`${gecos}:${home}`} || exit 0
  uid=$(id -u ${user})
  for process in /proc/[0-9]*; do
    if [ "$(stat -c %u -- "$process" 2>/dev/null)" = "$uid" ]; then kill -KILL "\${process#/proc/}" || true; fi
  done
  sleep 0.2
  userdel ${user}
fi
rm -f -- "$file"
for directory in ${[sshDir(login), home]}; do
  if test -d "$directory"; then rmdir --ignore-fail-on-non-empty -- "$directory"; fi
done`;
};

export interface FoundLogin {
  account: Account | undefined;
  /** The disk's line. */
  line: AuthorizedLine | undefined;
  /** No other line has the disk's key, and the account can write to nothing of this. */
  closed: boolean;
  /** Whether dropLine has something to do here. */
  remains: boolean;
  sshd: SshdConfig;
}

/** Lines that a removal takes out, an account that nobody has a line for, or such a file without its account. */
function remainsOf(
  login: Login,
  { name, publicKey }: { name: string; publicKey: string },
  { account, text }: { account: Account | undefined; text: string | undefined },
): boolean {
  const key = keyOf(publicKey);
  const lines = (text ?? "").split("\n");
  const isOurs = (line: string) => {
    const last = line.trim().split(/\s+/).at(-1) ?? "";
    // With the same key as another disk: that one's.
    return last === marker(name) || (key !== "" && line.includes(key) && !last.startsWith(markers));
  };
  if (lines.some(isOurs)) return true;
  if (lines.some((line) => !empty.test(line))) return false;
  if (account) return account.gecos === login.gecos && account.home === login.home;
  return text !== undefined;
}

export async function observeLogin(
  host: Host,
  login: Login,
  name: string,
  publicKey: string,
): Promise<FoundLogin> {
  const [account, content, found, sshd] = await Promise.all([
    ask(host, passwdAccount, login.user),
    host.readFile(keysFile(login)),
    ask(host, statOwners, Object.keys(owners(login))),
    ask(host, sshdConfig, login.user),
  ]);
  const text = content?.toString();
  const lines = parseAuthorizedKeys(text ?? "");
  const line = lines.find(({ comment }) => comment === marker(name));
  const closed =
    lines.filter(({ publicKey }) => publicKey === line?.publicKey).length === 1 &&
    Object.entries(owners(login)).every(
      ([path, { owner, mode }]) => found[path]?.owner === owner && found[path].mode === mode,
    );
  const remains = remainsOf(login, { name, publicKey }, { account, text });
  return { account, line, closed, remains, sshd };
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

export const removeLogin = (login: Login, name: string, publicKey: string): RunStep => ({
  do: "run",
  title: `take the disk's SSH key out of ${keysFile(login)}`,
  command: dropLine(login, name, publicKey),
  lock,
});
