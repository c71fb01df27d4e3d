/** Why there is no connection, in words: each cause that can be told apart, with its own cure. */
import type { Attempts } from "./auth";
import { fingerprint, typeOf } from "./hostKeys";
import type { Target } from "./sshConfig";

export class ConnectFailure extends Error {
  /** Whether the host proved that it has the pinned key: it runs, whatever it refused then. */
  answered = false;
  /** Whether the host refused the login: at many its sshd counts that against this machine (PerSourcePenalties). */
  refusedLogin = false;

  constructor(
    /** Without a full stop. */
    readonly found: string,
    /** Whether it may go away by itself while a host starts. */
    readonly passing: boolean,
    /** What the user can do, where more is known than "see whether it runs". */
    readonly cure?: string,
    options?: ErrorOptions,
  ) {
    super(found, options);
  }
}

/** What is known of an attempt that failed. */
export interface Attempt {
  error: Error & { code?: string; level?: string };
  target: Target;
  /** The key that the host showed, if it was not accepted. */
  refusedKey?: Buffer;
  logins: Attempts;
  /** What the ProxyCommand said; empty if nothing. */
  proxySaid: string;
}

export function explain({ error, target, refusedKey, logins, proxySaid }: Attempt): ConnectFailure {
  const because = { cause: error };
  if (error instanceof ConnectFailure) return error;
  if (refusedKey) return keyFailure(target, refusedKey);
  if (error.level === "client-authentication") return loginFailure(target, logins);
  if (proxySaid !== "")
    return new ConnectFailure(`ProxyCommand \`${target.proxy}\`: ${proxySaid}`, true, undefined, because);
  if (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN")
    return new ConnectFailure(`the name ${target.hostName} has no address (${error.code})`, true);
  if (error.code === "ECONNREFUSED") {
    const where = `${target.hostName}:${target.port}`;
    return new ConnectFailure(`${where} refuses connections: sshd does not run there`, true);
  }
  if (/no matching .*host key/i.test(error.message))
    return new ConnectFailure(
      `it has no host key of the kind that is known (${target.hostKeys.map((key) => key.type).join(", ")} in ${target.hostKeySource})`,
      false,
      "If the host was rebuilt on purpose, record its new key (known_hosts, or hostKey).",
    );
  return new ConnectFailure(error.message || String(error.code), true, undefined, because);
}

function keyFailure(target: Target, shown: Buffer): ConnectFailure {
  const print = fingerprint(shown);
  const line = `${typeOf(shown)} ${shown.toString("base64")}`;
  if (target.hostKeys.length === 0) {
    const port = target.port === 22 ? "" : `-p ${target.port} `;
    const keep = target.proxy
      ? `log in once with \`ssh\``
      : `add it with \`ssh-keyscan ${port}${target.hostName} >> ~/.ssh/known_hosts\``;
    return new ConnectFailure(
      `its host key ${print} (${typeOf(shown)}) is not known: no entry for ${target.hostKeyName} in ${target.hostKeySource}`,
      false,
      `If \`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\` on the host prints this fingerprint, ${keep} or set hostKey to \`${line}\`.`,
    );
  }
  const known = target.hostKeys.map((key) => `${key.fingerprint} (${key.type})`).join(" or ");
  return new ConnectFailure(
    `it shows the host key ${print} (${typeOf(shown)}), but ${target.hostKeySource} has ${known}: this may be another machine`,
    false,
    `If the host was rebuilt on purpose, record its new key (\`ssh-keygen -R '${target.hostKeyName}'\`, or hostKey).`,
  );
}

/** A host that is starting may not have its authorized_keys yet. */
function loginFailure(target: Target, { tried, cures }: Attempts): ConnectFailure {
  const failure = new ConnectFailure(
    `it refuses the login of ${target.user}; tried: ${tried.join(", ") || "nothing, there is neither key nor agent"}`,
    true,
    cures.join(" ") ||
      `Add one of these keys to ~${target.user}/.ssh/authorized_keys on the host, or set user, identityFile or privateKey.`,
  );
  failure.refusedLogin = true;
  return failure;
}
