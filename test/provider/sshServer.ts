/**
 * An SSH server on a free port of 127.0.0.1 that plays a script instead of running commands. Commands are
 * compared without the text that the host layer puts around them (provider/host/commands.ts), so a script
 * reads like the resource's plan.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { constants } from "node:os";
import type { Writable } from "node:stream";
import ssh2, { type Connection as ServerConnection, type ServerChannel } from "ssh2";
import {
  beginNotice,
  end,
  endNotice,
  keptCommand,
  lockNotice,
  passwordInput,
  readCommand,
  tryPassword,
  writeCommand,
} from "../../provider/host/commands";
import type { Connection } from "../../provider/host/open";
import { Command } from "../../provider/host/sh";
import { Secret } from "../../schema/secret";

export interface Exchange {
  /** The whole command, or a pattern of it. Any order; the first entry that is not used up answers. */
  command: string | RegExp;
  stdout?: string | Buffer;
  stderr?: string;
  /** Default 0. */
  exitCode?: number;
  /** The command ends by this signal (`TERM`) instead of exiting. */
  signal?: string;
  delayMs?: number;
  /** sudo or the login's shell says this instead of running the command. */
  refused?: boolean;
  /** What the login's shell or sudo says on both outputs before the command begins. */
  greeting?: string;
  /** No answer, until the host layer ends the command. */
  hang?: boolean;
  /** The connection is lost (after delayMs and stdout) instead of an exit status. */
  cut?: boolean;
  /** Answers any number of times; default: once. */
  repeat?: boolean;
}

export interface Received {
  /** As the resource wrote it. */
  command: string;
  locks: string[];
  sudo: boolean;
  stdin: Buffer;
  /** True once the host layer has ended it. */
  ended: boolean;
}

export interface ServerOptions {
  /** Login that is let in; default root. */
  user?: string;
  /** What sudo asks for; null: it does not ask. */
  sudoPassword?: string | null;
  /** The login's shell says its input back on stderr, instead of giving it to sudo. */
  echoes?: boolean;
  /** Lets nobody in. */
  refuseAll?: boolean;
  /** Key pair of the host, as an OpenSSH private key; default: a new ed25519 key. */
  hostPrivateKey?: string;
  /** The user's public key, `ALGORITHM BASE64`, when it is not the one in `connection`. */
  clientPublicKey?: string;
  /** Lets any key in. */
  anyKey?: boolean;
  /** Default: any free port. */
  port?: number;
}

export interface ScriptedServer {
  readonly port: number;
  /** Provider configuration that reaches this server. */
  readonly connection: Connection & { hostKey: string; privateKey: Secret };
  readonly hostPrivateKey: string;
  readonly received: Received[];
  /** Commands that nothing in the script answers; they got exit status 127. */
  readonly unexpected: string[];
  /** Connections that logged in, ever; channels, ever and at most at one time. */
  readonly count: { connections: number; channels: number; channelsAtOnce: number };
  /** Connections that were begun, whether they logged in or not. */
  dialled(): number;
  script(...exchanges: Exchange[]): void;
  /** Throws unless every entry of the script was used and no other command came. */
  done(): void;
  /** Drops all connections, as a reboot does. */
  drop(): void;
  close(): Promise<void>;
}

/** An exchange for host.readFile; without content the file is absent. */
export function reads(path: string, content?: string | Buffer): Exchange {
  const command = readCommand(path).text;
  return content === undefined
    ? { command, exitCode: 1, stderr: `cat: ${path}: No such file or directory\n` }
    : { command, stdout: content };
}

/** An exchange for host.writeFile. */
export function writes(path: string, content: string, mode = 0o644, owner = "root:root"): Exchange {
  return { command: writeCommand(path, Buffer.byteLength(content), { mode, owner }).text };
}

interface Unwrapped {
  run: string;
  command: string;
  locks: string[];
  sudo: boolean;
  /** Whether a password stands before the command's own input. */
  withPassword: boolean;
}

const unquote = (word: string): string =>
  word.startsWith("'") ? word.slice(1, -1).replaceAll(`'\\''`, "'") : word;

const programLine = /^exec (sudo (?:-n|-S -p '') -- )?env LC_ALL=C PATH=\S+ NETDISK_RUN=(\w+) sh([^]*)$/;

function unwrap(text: string): Unwrapped {
  const [, sudo, run = "", script = ""] = programLine.exec(text) ?? [];
  const body =
    /^(while IFS= read .*\n)?umask 022\necho .*\n(?:install -d -m 700 \/run\/netdisk\/lock .*netdisk: locked ([^']+).*\n)?([^]*)$/.exec(
      unquote(script.replace(/^ -c /, "")),
    );
  if (!body) throw new Error(`not a command of the host layer: ${text}`);
  return {
    run,
    locks: body[2]?.split(" ") ?? [],
    command: body[3] ?? "",
    sudo: sudo !== undefined,
    withPassword: body[1] !== undefined,
  };
}

interface KeptShell {
  run: string;
  sudo: boolean;
  withPassword: boolean;
}

/** Undefined for a line that runs one command. */
function keptShellOf(text: string): KeptShell | undefined {
  const [, sudo, run = "", script = "-"] = programLine.exec(text) ?? [];
  if (script !== "" && !script.endsWith("exec sh'")) return undefined;
  return { run, sudo: sudo !== undefined, withPassword: script !== "" };
}

const escaped = (text: string): string => text.replaceAll(/[$()|?*+.[\]\\^{}/]/g, "\\$&");

/** What a kept shell is given for one command. */
const keptRequest = new RegExp(
  `^${escaped(keptCommand(new Command("LINE"), "RUN"))
    .replace("LINE", "([^]*?)")
    .replace("RUN", "(\\w+)")
    .replaceAll("RUN", "\\1")}`,
);

/** Where a command's answer goes: a channel of its own, or a shell that goes on. */
interface Sink {
  stdout(text: string | Buffer): void;
  stderr(text: string): void;
  finish(exitCode: number, signal?: string): void;
  isOver(): boolean;
}

/** `sh` is killed by the same signal, so an exit by a signal is what sshd reports. */
function finish(channel: ServerChannel, exitCode: number, signal?: string): void {
  if (channel.writableEnded) return;
  if (signal === undefined) channel.exit(exitCode);
  else channel.exit(signal, false, "");
  channel.end();
}

// The host layer may have given up meanwhile.
const say = (stream: Writable, text: string | Buffer): void => {
  if (stream.writable) stream.write(text);
};

const channelSink = (channel: ServerChannel): Sink => ({
  stdout: (text) => say(channel, text),
  stderr: (text) => say(channel.stderr, text),
  finish: (exitCode, signal) => finish(channel, exitCode, signal),
  isOver: () => channel.writableEnded || channel.destroyed,
});

/** Says at the end what the shell was told to, by its echo. */
function keptSink(channel: ServerChannel, run: string): Sink {
  let over = false;
  return {
    ...channelSink(channel),
    finish(exitCode, signal) {
      over = true;
      // Ended by the host layer, the shell with it; by any other signal only the command.
      if (signal === "TERM") {
        finish(channel, exitCode, signal);
        return;
      }
      const status = signal === undefined ? exitCode : 128 + constants.signals[`SIG${signal}` as "SIGTERM"];
      say(channel, `${endNotice(run)}${status}\n`);
      say(channel.stderr, `${endNotice(run)}${status}\n`);
    },
    isOver: () => over || channel.writableEnded || channel.destroyed,
  };
}

/** The `run` whose end a command asks for. */
function endOf(command: string): string | undefined {
  const run = /NETDISK_RUN=(\w+)\$'/.exec(command)?.[1];
  return run !== undefined && command === end(run).text ? run : undefined;
}

/** One key in 256 from ssh2's generator lacks a leading zero byte, and its own parser rejects that (measured: 16 of 4000). */
function newKey(): { private: string; public: string } {
  const { generateKeyPairSync, parseKey } = ssh2.utils;
  const pair = generateKeyPairSync("ed25519");
  return parseKey(pair.private) instanceof Error ? newKey() : pair;
}

export async function startSshServer(
  exchanges: Exchange[] = [],
  options: ServerOptions = {},
): Promise<ScriptedServer> {
  const { parseKey } = ssh2.utils;
  const hostPrivateKey = options.hostPrivateKey ?? newKey().private;
  const hostKey = parseKey(hostPrivateKey);
  const client = newKey();
  const clientKey = parseKey(options.clientPublicKey ?? client.public);
  if (hostKey instanceof Error) throw hostKey;
  if (clientKey instanceof Error) throw clientKey;

  const script = exchanges.map((exchange) => ({ exchange, used: 0 }));
  const received: Received[] = [];
  const unexpected: string[] = [];
  let dialled = 0;
  const count = { connections: 0, channels: 0, channelsAtOnce: 0 };
  const connections = new Set<ServerConnection>();
  const running = new Map<string, { sink: Sink; entry: Received }>();
  let channels = 0;

  function find(command: string): Exchange | undefined {
    const found = script.find(
      ({ exchange, used }) =>
        (used === 0 || exchange.repeat) &&
        (typeof exchange.command === "string"
          ? exchange.command === command
          : exchange.command.test(command)),
    );
    if (found) found.used++;
    return found?.exchange;
  }

  /** `marked`: the run that its end is asked for by, which a kept shell's commands have of the shell. */
  function answer(
    sink: Sink,
    run: string,
    connection: ServerConnection,
    entry: Received,
    marked = run,
  ): void {
    const toEnd = endOf(entry.command);
    if (toEnd !== undefined) {
      received.splice(received.indexOf(entry), 1);
      const target = running.get(toEnd);
      if (target) {
        target.entry.ended = true;
        target.sink.finish(0, "TERM");
      }
      sink.stdout(beginNotice(run));
      sink.finish(0);
      return;
    }
    const exchange = find(entry.command);
    if (!exchange) {
      unexpected.push(entry.command);
      sink.stdout(beginNotice(run));
      sink.stderr(`${beginNotice(run)}the script has no answer for: ${entry.command}\n`);
      sink.finish(127);
      return;
    }
    running.set(marked, { sink, entry });
    if (!exchange.refused) {
      sink.stdout(`${exchange.greeting ?? ""}${beginNotice(run)}`);
      sink.stderr(`${exchange.greeting ?? ""}${beginNotice(run)}`);
    }
    if (entry.locks.length > 0) sink.stderr(lockNotice(entry.locks));
    setTimeout(() => {
      if (sink.isOver()) return;
      if (exchange.stdout !== undefined) sink.stdout(exchange.stdout);
      if (exchange.stderr !== undefined) sink.stderr(exchange.stderr);
      if (exchange.hang) return;
      // A moment later, so that what was written before the cut does arrive.
      if (exchange.cut) setTimeout(() => void connection.end(), 20);
      else sink.finish(exchange.exitCode ?? 0, exchange.signal);
    }, exchange.delayMs ?? 0);
  }

  /** Plays a kept shell: one command after another, as they come. */
  function keep(channel: ServerChannel, connection: ServerConnection, shell: KeptShell): void {
    let text = "";
    let password = shell.withPassword ? passwordInput(options.sudoPassword ?? "none asked", shell.run) : "";
    channel.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.length < password.length) return;
      if (!text.startsWith(password)) throw new Error("no password before a kept shell's input");
      text = text.slice(password.length);
      password = "";
      for (let found = keptRequest.exec(text); found; found = keptRequest.exec(text)) {
        text = text.slice(found[0].length);
        const [, run = "", command = ""] = found;
        const entry: Received = {
          ...{ command: unquote(command), locks: [], sudo: shell.sudo },
          ...{ stdin: Buffer.alloc(0), ended: false },
        };
        received.push(entry);
        answer(keptSink(channel, run), run, connection, entry, shell.run);
      }
    });
    channel.on("end", () => finish(channel, 0));
  }

  const server = new ssh2.Server({ hostKeys: [hostPrivateKey] }, (connection) => {
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
    // A client that goes away mid-word is part of the tests.
    dialled++;
    connection.on("error", () => {});
    connection.on("authentication", (context) => {
      const known =
        !options.refuseAll &&
        context.username === (options.user ?? "root") &&
        context.method === "publickey" &&
        (options.anyKey || context.key.data.equals(clientKey.getPublicSSH())) &&
        (options.anyKey ||
          context.signature === undefined ||
          context.blob === undefined ||
          clientKey.verify(context.blob, context.signature, context.hashAlgo));
      if (known) context.accept();
      else context.reject(["publickey"]);
    });
    connection.on("ready", () => {
      count.connections++;
      connection.on("session", (accept) => {
        const session = accept();
        session.on("exec", (acceptExec, _reject, info) => {
          const channel = acceptExec();
          count.channels++;
          channels++;
          count.channelsAtOnce = Math.max(count.channelsAtOnce, channels);
          channel.on("close", () => channels--);
          const kept = keptShellOf(info.command);
          if (kept) {
            keep(channel, connection, kept);
            return;
          }
          const chunks: Buffer[] = [];
          channel.on("data", (chunk: Buffer) => chunks.push(chunk));
          if (info.command === tryPassword) {
            channel.on("end", () => {
              const said = Buffer.concat(chunks).toString();
              if (options.echoes) {
                channel.stderr.write(said);
                finish(channel, 1);
                return;
              }
              const good = options.sudoPassword === null || said === `${options.sudoPassword}\n`;
              if (!good) channel.stderr.write("Das hat nicht funktioniert.\nsudo: 1 Fehlversuch\n");
              finish(channel, good ? 0 : 1);
            });
            return;
          }
          const { run, withPassword, ...rest } = unwrap(info.command);
          const entry: Received = { ...rest, stdin: Buffer.alloc(0), ended: false };
          received.push(entry);
          channel.on("end", () => {
            const input = Buffer.concat(chunks);
            const start = withPassword ? input.indexOf(`\n${run}\n`) + run.length + 2 : 0;
            const password = passwordInput(options.sudoPassword ?? "none asked", run);
            if (withPassword && input.subarray(0, start).toString() !== password)
              throw new Error(`no password before the input of ${entry.command}`);
            entry.stdin = input.subarray(start);
            answer(channelSink(channel), run, connection, entry);
          });
        });
      });
    });
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  return {
    port,
    connection: {
      connection: "ssh",
      host: "127.0.0.1",
      port,
      user: options.user ?? "root",
      // None of the developer's own settings may take part.
      sshConfig: "/dev/null",
      privateKey: new Secret(client.private),
      hostKey: `${hostKey.type} ${hostKey.getPublicSSH().toString("base64")}`,
    },
    hostPrivateKey,
    received,
    unexpected,
    count,
    dialled: () => dialled,
    script: (...more) => script.push(...more.map((exchange) => ({ exchange, used: 0 }))),
    done() {
      const unused = script.filter(({ exchange, used }) => used === 0 && !exchange.repeat);
      const wrong = [
        ...unexpected.map((command) => `unexpected: ${command}`),
        ...unused.map(({ exchange }) => `never came: ${exchange.command.toString()}`),
      ];
      if (wrong.length) throw new Error(wrong.join("\n"));
    },
    drop: () => connections.forEach((connection) => void connection.end()),
    async close() {
      connections.forEach((connection) => void connection.end());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
