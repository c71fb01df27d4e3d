/** The tunnel's key in authorized_keys of an account that can do nothing else. */
import { tunnelHome } from "../../schema/paths";
import { authorizedKey as definition } from "../../schema/server";
import { NetdiskError } from "../errors";
import { permitOpenOf } from "../facts/authorizedKeys";
import { resourceType } from "../resource";
import { addLogin, keysFile, type Login, observeLogin, removeLogin } from "./login";
import { sshdVerdict } from "./sshdVerdict";

const loginOf = (user: string): Login => ({
  user,
  home: tunnelHome,
  gecos: "netdisk tunnels",
  shell: "/usr/sbin/nologin",
});

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

export const authorizedKey = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  async observe(host, { name, user, publicKey }) {
    const login = loginOf(user);
    const { account, line, closed, remains, sshd } = await observeLogin(host, login, name, publicKey);
    const absent = { is: "absent" as const, ...(remains && { remains }) };
    if (!account) return absent;
    if (account.home !== tunnelHome) {
      return {
        is: "foreign",
        what: `the account ${user} belongs to somebody else: its home is ${account.home}`,
        cure: "Name another user for the AuthorizedKey; netdisk makes the account.",
      };
    }
    if (!line) return absent;
    const permitOpen = permitOpenOf(line);
    return {
      is: "present",
      state: {
        name,
        user,
        publicKey: line.publicKey,
        permitOpen,
        restricted:
          permitOpen !== undefined &&
          line.options.join(",") === optionsFor(permitOpen).join(",") &&
          closed &&
          account.shell === login.shell,
        sshd: sshdVerdict(sshd, {
          user,
          home: account.home,
          keysFile: keysFile(login),
          permitOpen: permitOpen ?? "",
        }),
      },
    };
  },

  plan(observed, { name, user, publicKey, permitOpen }) {
    const state = observed.is === "present" ? observed.state : undefined;
    const right = state?.restricted && state.publicKey === publicKey && state.permitOpen === permitOpen;
    if (!right) return addLogin(loginOf(user), name, optionsFor(permitOpen), publicKey);
    if (state.sshd !== "accepts") {
      throw new NetdiskError(
        "CONFIG",
        `sshd's configuration forbids the tunnel: ${state.sshd}. ` +
          `Allow it for the account ${user} in /etc/ssh/sshd_config (a "Match User ${user}" block will do) and reload ssh.`,
      );
    }
    return [];
  },

  planRemoval(observed, { name, user, publicKey }) {
    if (observed.is === "absent" && !observed.remains) return [];
    return [removeLogin(loginOf(user), name, publicKey)];
  },
});
