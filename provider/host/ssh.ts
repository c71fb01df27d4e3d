/** A host by SSH: one connection, made at the first use and again after it was lost. */
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientChannel } from "ssh2";
import { NetdiskError, Unreachable } from "../errors";
import { connect, type Link } from "./connect";
import { ConnectFailure } from "./connectFailure";
import { KeptShells } from "./keptShells";
import type { Connection } from "./open";
import { ShellHost } from "./shell";
import { resolveTarget, type Target } from "./sshConfig";
import type { Login, ProcessListener, StartOptions, Transport } from "./transport";
import { Turns } from "./turns";

/** OpenSSH allows 10 per connection (MaxSessions); two are kept for ending commands. */
const channelsAtOnce = 8;
const connectTimeoutMs = 10_000;
const retryPauseMs = 2_000;
/**
 * sshd counts a session until it has cleaned up after the command's end, which may be after it has read our next
 * request: with commands that end at the same time, ten are exceeded for a moment.
 */
const sessionPausesMs = [50, 100, 200, 400, 800, 1600, 3200];

export interface SshOptions {
  /** For the first contact only: how long a host may take to start. 0: one attempt. */
  bootTimeoutMs: number;
  /** Pause between signs of life; three unanswered ones end the connection. Default 5 000. */
  keepaliveMs?: number;
}

const moved =
  "If its address, user or key has changed, set the new one and run `pulumi up --refresh --run-program`; " +
  "if the host no longer exists,";

const gone = (target: Target): string =>
  `${moved} first keep what \`pulumi stack output recovery --show-secrets\` prints, then set ` +
  `NETDISK_HOST_GONE=${target.hostKeys[0]?.fingerprint ?? "<fingerprint of its host key>"} to give up what was on it.`;

type Outcome = "ran" | "refused" | "stale";

class SshTransport implements Transport {
  readonly #connection: Connection;
  readonly #options: SshOptions;
  readonly #turns = new Turns(channelsAtOnce);
  #target?: Promise<Target>;
  #known?: Target;
  #link?: Promise<Link>;
  #contacted = false;
  /** A login that was refused is not tried again for each resource: sshd would shut this machine out for a while. */
  #refusedLogin?: NetdiskError;
  #closed = false;

  constructor(connection: Connection, options: SshOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  get label(): string {
    const { host = "(no host)", user, port } = this.#connection;
    const target = this.#known;
    if (target) return `${target.name} (${target.user}@${target.hostName}:${target.port})`;
    return `${host} (${user === undefined ? "" : `${user}@`}${host}${port === undefined ? "" : `:${port}`})`;
  }

  async login(): Promise<Login> {
    const { user } = await this.#resolve();
    return { user, sudoPassword: this.#connection.sudoPassword };
  }

  async start(line: string, listener: ProcessListener, options: StartOptions): Promise<void> {
    const done = options.urgent ? () => {} : await this.#turns.take();
    try {
      for (const pauseMs of sessionPausesMs) {
        const link = await this.#connected();
        if (options.signal.aborted) return;
        const outcome = await this.#execute(link, line, listener, options);
        if (outcome === "ran") return;
        if (outcome === "stale") this.#link = undefined;
        else await sleep(pauseMs);
      }
      throw this.#refusedChannel();
    } finally {
      done();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const link = await this.#link?.catch(() => undefined);
    link?.close();
  }

  /** Nothing was run: `refused` by sshd, or `stale`, the connection has ended and ssh2 has not said so yet. */
  #execute(link: Link, line: string, listener: ProcessListener, options: StartOptions): Promise<Outcome> {
    const { client } = link;
    return new Promise((resolve, reject) => {
      let channel: ClientChannel | undefined;
      let exited = false;
      let cause: Error | undefined;
      // The first error is the reason; what follows it is only how the socket is taken down.
      const onError = (error: Error) => (cause ??= error);
      const onLost = () => reject(this.#lost(cause));
      const onAbort = () => channel?.close();
      client.on("error", onError).on("close", onLost);
      options.signal.addEventListener("abort", onAbort);
      const settle = () => {
        client.off("error", onError).off("close", onLost);
        options.signal.removeEventListener("abort", onAbort);
      };
      const settled = {
        resolve(outcome: Outcome) {
          settle();
          resolve(outcome);
        },
        reject(error: Error) {
          settle();
          reject(error);
        },
      };

      const onOpened = (error: Error | undefined, opened: ClientChannel) => {
        if (error) {
          if (isRefusal(error)) settled.resolve("refused");
          else settled.reject(this.#refusedChannel(error));
          return;
        }
        channel = opened;
        opened.on("data", (chunk: Buffer) => listener.onStdout(chunk));
        opened.stderr.on("data", (chunk: Buffer) => listener.onStderr(chunk));
        opened.on("exit", (code: number | null, signal?: string) => {
          exited = true;
          listener.onExit(code ?? 128 + signalNumber(signal));
        });
        opened.on("close", () => {
          // Without a status and without our doing: ssh2 closes the channels before it reports the loss.
          if (exited || options.signal.aborted) settled.resolve("ran");
          else setTimeout(() => settled.reject(this.#lost(cause)), 50);
        });
        // A command that does not want its input closes it; its exit status says whether that matters.
        opened.on("error", () => {});
        if (options.feed) options.feed((text) => opened.write(text));
        else opened.end(options.stdin);
        if (options.signal.aborted) opened.close();
      };
      try {
        client.exec(line, onOpened);
      } catch {
        // ssh2 throws only for a socket that is closed already.
        settled.resolve("stale");
        return;
      }
      // From here the host may act on it, even if we never hear of it.
      listener.onStart();
    });
  }

  #resolve(): Promise<Target> {
    this.#target ??= resolveTarget(this.#connection).then((target) => (this.#known = target));
    return this.#target;
  }

  #connected(): Promise<Link> {
    this.#link ??= this.#connect().catch((error: unknown) => {
      this.#link = undefined;
      throw error;
    });
    return this.#link;
  }

  async #connect(): Promise<Link> {
    const target = await this.#resolve();
    // 0.1 s to load: not at the start of the provider, and never for a local host.
    const { default: lib } = await import("ssh2");
    const limits = { timeoutMs: connectTimeoutMs, keepaliveMs: this.#options.keepaliveMs ?? 5_000 };
    const deadline = Date.now() + (this.#contacted ? 0 : this.#options.bootTimeoutMs);
    for (;;) {
      if (this.#closed)
        throw new NetdiskError(
          "CANCELLED",
          `${this.label}: the connection was closed. \`pulumi up\` continues.`,
        );
      if (this.#refusedLogin) throw this.#refusedLogin;
      try {
        const link = await connect(lib, target, limits);
        this.#contacted = true;
        const made = this.#link;
        link.client.on("close", () => {
          // Not a newer one, made when this one was found to be stale.
          if (this.#link === made) this.#link = undefined;
        });
        // Each command that runs listens as well, and ends with the loss.
        link.client.setMaxListeners(0);
        link.client.on("error", () => {});
        return link;
      } catch (error) {
        if (!(error instanceof ConnectFailure)) throw error;
        if (!error.passing || Date.now() + retryPauseMs > deadline) {
          const unreachable = this.#unreachable(target, error);
          if (error.refusedLogin) this.#refusedLogin = unreachable;
          throw unreachable;
        }
        await sleep(retryPauseMs);
      }
    }
  }

  #unreachable(target: Target, failure: ConnectFailure): NetdiskError {
    const { found, cure } = failure;
    const what = [`${this.label} cannot be reached: ${found}.`, target.remark].filter(Boolean).join(" ");
    const firstCure = cure ?? "Start it, or set another host, port or user, and run `pulumi up` again.";
    // To give a host up is the last thing to think of where something better is known.
    const knownCure = cure === undefined ? gone(target) : `${moved} docs/recovery.md has the way. ${cure}`;
    return new Unreachable(`${what} ${firstCure}`, {
      whereKnown: `${what} ${knownCure}`,
      answered: failure.answered,
      cause: failure,
    });
  }

  #refusedChannel(error = new Error("no session is free")): NetdiskError {
    return new Unreachable(
      `${this.label}: sshd does not start a command: ${error.message}. It was not run. ` +
        `Allow sessions in sshd_config (MaxSessions 10, no ForceCommand for this login).`,
      { answered: true, cause: error },
    );
  }

  #lost(cause?: Error): NetdiskError {
    const reason = cause?.message ?? "it was closed";
    return new Unreachable(
      `${this.label}: the connection was lost during a command (${reason}); the command may still be running on the host. ` +
        "Run `pulumi up` again when the host can be reached: it waits for the command, then continues.",
      { answered: true, cause },
    );
  }
}

/** SSH_OPEN_CONNECT_FAILED is what sshd says when all sessions are taken; see MaxSessions in sshd_config(5). */
const isRefusal = (error: Error): boolean => (error as Error & { reason?: unknown }).reason === 2;

/** `KILL` as in RFC 4254; a name that this machine does not know counts as a plain failure. */
function signalNumber(name = ""): number {
  const numbers: Record<string, number> = constants.signals;
  return numbers[`SIG${name.replace(/^SIG/, "")}`] ?? 127;
}

export const sshHost = (connection: Connection, options: SshOptions): ShellHost =>
  new ShellHost(new KeptShells(new SshTransport(connection, options)));
