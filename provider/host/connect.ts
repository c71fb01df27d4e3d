/** One attempt to log in to a host, and why it failed. */
import type ssh2 from "ssh2";
import type { AnyAuthMethod, Client } from "ssh2";
import { attemptsFor } from "./auth";
import { fingerprint, offered, typeOf } from "./hostKeys";
import { startProxy, type Proxy } from "./proxy";
import { seconds } from "./say";
import type { Target } from "./sshConfig";

type Ssh2 = typeof ssh2;

const keepaliveMs = 10_000;
const keepaliveMisses = 3;

export interface Link {
  client: Client;
  close(): void;
}

/** Why there is no connection. */
export class ConnectFailure extends Error {
  constructor(
    /** Without a full stop. */
    readonly found: string,
    /** What the user can do, if more is known than "see whether it runs". */
    readonly cure: string | undefined,
    /** Whether it may go away by itself while a host starts. */
    readonly passing: boolean,
  ) {
    super(found);
  }
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
      `If \`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\` on the host prints this fingerprint, ${keep} or set hostKey to \`${line}\`.`,
      false,
    );
  }
  const known = target.hostKeys.map((key) => `${key.fingerprint} (${key.type})`).join(" or ");
  return new ConnectFailure(
    `it shows the host key ${print} (${typeOf(shown)}), but ${target.hostKeySource} has ${known}: this may be another machine`,
    `If the host was rebuilt on purpose, record its new key (\`ssh-keygen -R ${target.hostKeyName}\`, or hostKey).`,
    false,
  );
}

function failure(
  error: Error & { code?: string; level?: string },
  target: Target,
  proxy?: Proxy,
): ConnectFailure {
  const where = `${target.hostName}:${target.port}`;
  if (proxy?.said())
    return new ConnectFailure(`ProxyCommand \`${target.proxy}\`: ${proxy.said()}`, undefined, true);
  switch (error.code ?? "") {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new ConnectFailure(
        `the name ${target.hostName} has no address (${error.code})`,
        undefined,
        true,
      );
    case "ECONNREFUSED":
      return new ConnectFailure(`${where} refuses connections: sshd does not run there`, undefined, true);
  }
  if (/no matching (C->S|host key|server host key)/i.test(error.message) && /host key/i.test(error.message))
    return new ConnectFailure(
      `it has no host key of the kind that is known (${target.hostKeys.map((key) => key.type).join(", ")} in ${target.hostKeySource})`,
      "If the host was rebuilt on purpose, record its new key (known_hosts, or hostKey).",
      false,
    );
  return new ConnectFailure(error.message || String(error.code), undefined, true);
}

export async function connect(lib: Ssh2, target: Target, timeoutMs: number): Promise<Link> {
  const attempts = await attemptsFor(lib, target);
  const proxy = target.proxy === undefined ? undefined : startProxy(target.proxy);
  const client = new lib.Client();
  let stage = "no connection";
  let refusedKey: Buffer | undefined;
  const timeout = `within ${seconds(timeoutMs)}`;

  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new ConnectFailure(`it did not answer ${timeout} (${stage})`, undefined, true)),
        timeoutMs,
      );
      const settle = (outcome: () => void) => {
        clearTimeout(timer);
        outcome();
      };
      client.on("connect", () => (stage = "connected, no SSH greeting"));
      client.on("handshake", () => (stage = "logging in"));
      client.on("ready", () => settle(resolve));
      client.on("close", () =>
        settle(() => reject(failure(new Error("the connection was closed before the login"), target, proxy))),
      );
      client.on("error", (error) =>
        settle(() => {
          if (refusedKey) reject(keyFailure(target, refusedKey));
          else if (error.level === "client-authentication") reject(refused());
          else reject(failure(error, target, proxy));
        }),
      );
      const refused = () =>
        new ConnectFailure(
          `it refuses the login of ${target.user}; tried: ${attempts.tried.join(", ") || "nothing, there is neither key nor agent"}`,
          attempts.cures.join(" ") ||
            `Add one of these keys to ~${target.user}/.ssh/authorized_keys on the host, or set user, identityFile or privateKey.`,
          true,
        );
      client.connect({
        host: target.hostName,
        port: target.port,
        username: target.user,
        ...(proxy ? { sock: proxy.stream } : {}),
        readyTimeout: 0,
        keepaliveInterval: keepaliveMs,
        keepaliveCountMax: keepaliveMisses,
        algorithms: { serverHostKey: offered(target.hostKeys) },
        hostVerifier: (key: Buffer) => {
          const good = target.hostKeys.some((known) => known.blob.equals(key));
          if (!good) refusedKey = key;
          return good;
        },
        authHandler: (_left, _partial, next) => {
          // `false` is ssh2's "no more"; its types do not know it.
          const tell = next as (method: AnyAuthMethod | false) => void;
          tell(attempts.next() ?? false);
        },
      });
    });
  } catch (error) {
    client.removeAllListeners();
    // It may still have something to say, and nobody is left to hear it.
    client.on("error", () => {});
    client.destroy();
    proxy?.end();
    throw error;
  }
  client.on("close", () => proxy?.end());
  return {
    client,
    close() {
      client.end();
      // A peer that is gone never confirms the end.
      setTimeout(() => client.destroy(), 500).unref();
    },
  };
}
