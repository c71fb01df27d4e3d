/** One attempt to log in to a host. */
import type ssh2 from "ssh2";
import type { AnyAuthMethod, Client } from "ssh2";
import { attemptsFor } from "./auth";
import { ConnectFailure, explain } from "./connectFailure";
import { offered } from "./hostKeys";
import { startProxy } from "./proxy";
import { seconds } from "./say";
import type { Target } from "./sshConfig";

export interface Link {
  client: Client;
  close(): void;
}

export interface Limits {
  /** Until logged in, everything included. */
  timeoutMs: number;
  /** Pause between signs of life; three that go unanswered end the connection. */
  keepaliveMs: number;
}

/** @throws ConnectFailure, or NetdiskError CONFIG for keys that cannot be used. */
export async function connect(lib: typeof ssh2, target: Target, limits: Limits): Promise<Link> {
  const logins = await attemptsFor(lib, target);
  const proxy = target.proxy === undefined ? undefined : startProxy(target.proxy);
  const client = new lib.Client();
  let refusedKey: Buffer | undefined;
  let timer: NodeJS.Timeout | undefined;
  let answered = false;

  try {
    await new Promise<void>((resolve, reject) => {
      let stage = "no connection";
      client.on("connect", () => {
        stage = `${proxy ? "ProxyCommand runs" : "connected"}, no SSH greeting`;
      });
      client.on("handshake", () => {
        stage = "logging in";
        // The key was good, and what came was signed with it.
        answered = true;
      });
      client.on("ready", () => resolve());
      client.on("error", reject);
      client.on("close", () => reject(new Error("the connection was closed before the login")));
      timer = setTimeout(() => {
        const found = `it did not answer within ${seconds(limits.timeoutMs)} (${stage})`;
        reject(new ConnectFailure(found, true));
      }, limits.timeoutMs);
      client.connect({
        host: target.hostName,
        port: target.port,
        username: target.user,
        ...(proxy ? { sock: proxy.stream } : {}),
        // Ours covers more: also a proxy that never connects.
        readyTimeout: 0,
        keepaliveInterval: limits.keepaliveMs,
        keepaliveCountMax: 3,
        algorithms: { serverHostKey: offered(target.hostKeys) },
        hostVerifier: (key: Buffer) => {
          const good = target.hostKeys.some((known) => known.blob.equals(key));
          if (!good) refusedKey = key;
          return good;
        },
        authHandler: (_left, _partial, next) => {
          // `false` is ssh2's "no more"; its types do not know it.
          const tell = next as (method: AnyAuthMethod | false) => void;
          tell(logins.next() ?? false);
        },
      });
    });
  } catch (reason) {
    const error = reason instanceof Error ? reason : new Error(String(reason));
    const proxySaid = (await proxy?.said()) ?? "";
    client.removeAllListeners();
    // It may still have something to say, and nobody is left to hear it.
    client.on("error", () => {});
    client.destroy();
    proxy?.end();
    throw Object.assign(explain({ error, target, refusedKey, logins, proxySaid }), { answered });
  } finally {
    clearTimeout(timer);
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
