/** The Host, on any transport: what runs, how long, what becomes of it when it takes too long. */
import { randomBytes } from "node:crypto";
import { Secret } from "../../schema/secret";
import { NetdiskError } from "../errors";
import { absentByCat, end, lockNotice, readCommand, waitCommand, wrap, writeCommand } from "./commands";
import type { ExecOptions, ExecResult, FileOptions, Host } from "./host";
import { Output, outputLimit } from "./output";
import { seconds, shown, sudoFailure, tail } from "./say";
import type { Command } from "./sh";
import type { Transport } from "./transport";

const defaultTimeoutMs = 60_000;
/** For the turn at a lock; what holds it may be the build of a run that was killed. */
const lockTimeoutMs = 15 * 60_000;
/** A command that has ended may leave a daemon which keeps its output open; we hear it out for so long. */
const lingerMs = 2_000;
/** SIGTERM, five seconds, SIGKILL, two seconds, and the way there. */
const endTimeoutMs = 15_000;

interface Ended {
  exitCode: number;
  stdout: Buffer;
  stderr: Buffer;
}

export class ShellHost implements Host {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get label(): string {
    return this.#transport.label;
  }

  async exec(command: Command, options: ExecOptions = {}): Promise<ExecResult> {
    const { exitCode, stdout, stderr } = await this.#exec(command, options);
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  async run(command: Command, options?: ExecOptions): Promise<string> {
    const result = await this.exec(command, options);
    if (result.exitCode === 0) return result.stdout;
    if (result.exitCode === options?.inUse) {
      throw new NetdiskError("IN_USE", `${this.label}: ${result.stderr.trim()}`);
    }
    throw new NetdiskError(
      "COMMAND",
      `${this.label}: ${shown(command)} ended with status ${result.exitCode}: ` +
        `${tail(result.stderr.trim() ? result.stderr : result.stdout)}\n` +
        `Put right on the host what it complains about, then run \`pulumi up\` again: it continues from there.`,
    );
  }

  async readFile(path: string): Promise<Buffer | undefined> {
    const { exitCode, stdout, stderr } = await this.#exec(readCommand(path), {});
    if (exitCode === 0) return stdout;
    if (absentByCat({ exitCode, stdout, stderr: stderr.toString() })) return undefined;
    throw new NetdiskError(
      "UNREADABLE",
      `${this.label}: ${path} cannot be read: ${tail(stderr.toString())}\n` +
        `Make it a file that root can read, or remove it if nothing needs it.`,
    );
  }

  async writeFile(path: string, content: string | Buffer, options: FileOptions): Promise<void> {
    const stdin = typeof content === "string" ? Buffer.from(content) : content;
    const owner = options.owner ?? "root:root";
    const command = writeCommand(path, stdin.length, { mode: options.mode, owner });
    const { exitCode, stderr } = await this.#exec(command, { stdin });
    if (exitCode === 0) return;
    throw new NetdiskError(
      "COMMAND",
      `${this.label}: ${path} (mode ${options.mode.toString(8)}, owner ${owner}) cannot be written, the old ` +
        `file is unchanged: ${tail(stderr.toString())}\n` +
        `Make the directory writable for root, then run \`pulumi up\` again.`,
    );
  }

  async waitForLock(lock: string, options: Pick<ExecOptions, "signal" | "timeoutMs"> = {}): Promise<void> {
    await this.run(waitCommand(lock), { timeoutMs: lockTimeoutMs, ...options });
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #exec(command: Command, options: ExecOptions): Promise<Ended> {
    const { signal } = options;
    const locks = typeof options.lock === "string" ? [options.lock] : (options.lock ?? []);
    if (signal?.aborted) throw this.#cancelled(command, "It was not started.");
    const sudo = await this.#transport.needsSudo();
    const run = randomBytes(6).toString("hex");
    const line = wrap(command, { run, sudo, locks });
    const stdout = new Output(options.onLine);
    const stderr = new Output(options.onLine);
    const stop = new AbortController();
    const timers: Record<string, NodeJS.Timeout> = {};
    const timer = (name: string, ms: number, action: () => void) => {
      clearTimeout(timers[name]);
      timers[name] = setTimeout(action, ms);
    };
    let onAbort: (() => void) | undefined;

    try {
      return await new Promise<Ended>((resolve, reject) => {
        let started = false;
        let stopping = false;
        let exitCode: number | undefined;

        const finish = () => {
          if (stopping || exitCode === undefined) return;
          resolve({ exitCode, stdout: stdout.end(), stderr: stderr.end() });
        };
        const interrupt = (error: (outcome: string) => NetdiskError) => {
          if (stopping) return;
          stopping = true;
          const outcome = started ? this.#end(run, sudo) : Promise.resolve("It was not started.");
          void outcome.then((text) => reject(error(text)));
        };
        const limit = () => {
          const ms = options.timeoutMs ?? defaultTimeoutMs;
          timer("limit", ms, () => interrupt((outcome) => this.#tooLong(shown(command), ms, outcome)));
        };
        const receive = (output: Output, chunk: Buffer) => {
          output.add(chunk);
          if (exitCode !== undefined) timer("linger", lingerMs, finish);
          if (stdout.size + stderr.size > outputLimit)
            interrupt((outcome) => this.#tooMuch(command, outcome));
        };

        onAbort = () => interrupt((outcome) => this.#cancelled(command, outcome));
        signal?.addEventListener("abort", onAbort);
        if (locks.length > 0) stderr.expect(lockNotice(locks), limit);

        this.#transport
          .start(
            line,
            {
              onStart: () => {
                started = true;
                if (locks.length === 0) limit();
                else
                  timer("limit", lockTimeoutMs, () =>
                    interrupt((outcome) =>
                      this.#tooLong(`the wait for ${locks.join(", ")}`, lockTimeoutMs, outcome),
                    ),
                  );
              },
              onStdout: (chunk) => receive(stdout, chunk),
              onStderr: (chunk) => receive(stderr, chunk),
              onExit: (status) => {
                exitCode = status;
                timer("linger", lingerMs, finish);
              },
            },
            { stdin: bytes(options.stdin), signal: stop.signal },
          )
          .then(finish, (error: unknown) => {
            // What ended it has the better explanation.
            if (!stopping) reject(error instanceof Error ? error : new Error(String(error)));
          });
      }).then((ended) => {
        if (sudo) this.#checkSudo(ended);
        return ended;
      });
    } finally {
      Object.values(timers).forEach(clearTimeout);
      if (onAbort) signal?.removeEventListener("abort", onAbort);
      stop.abort();
    }
  }

  /** Ends what `run` started and says what became of it. */
  async #end(run: string, sudo: boolean): Promise<string> {
    const stdout = new Output();
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), endTimeoutMs);
    let exitCode: number | undefined;
    const unknown = "It could not be ended and may still be running on the host.";
    try {
      await Promise.race([
        new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve())),
        this.#transport.start(
          wrap(end(run), { run: randomBytes(6).toString("hex"), sudo }),
          {
            onStart: () => {},
            onStdout: (chunk) => stdout.add(chunk),
            onStderr: () => {},
            onExit: (status) => (exitCode = status),
          },
          { signal: stop.signal, urgent: true },
        ),
      ]);
    } catch (error) {
      return `${unknown} (${error instanceof Error ? error.message : String(error)})`;
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
    const survivors = stdout.end().toString().split("\n").filter(Boolean);
    if (exitCode !== 0) return unknown;
    return survivors.length === 0
      ? "It was ended on the host, with all that it started."
      : `It was killed, but these processes remain: ${survivors.join(" ")}.`;
  }

  #checkSudo({ exitCode, stderr }: Ended): void {
    const problem = exitCode === 0 ? undefined : sudoFailure(stderr.toString());
    if (problem !== undefined) throw new NetdiskError("CONFIG", `${this.label}: ${problem}`);
  }

  #tooLong(what: string, ms: number, outcome: string): NetdiskError {
    return new NetdiskError(
      "TIMEOUT",
      `${this.label}: ${what} took longer than ${seconds(ms)}. ${outcome} ` +
        `See on the host what it waits for, then run \`pulumi up\` again.`,
    );
  }

  #tooMuch(command: Command, outcome: string): NetdiskError {
    return new NetdiskError(
      "UNREADABLE",
      `${this.label}: ${shown(command)} printed more than ${outputLimit / 1024 / 1024} MiB. ${outcome} ` +
        `Run the command on the host; if its output is in order, please report it.`,
    );
  }

  #cancelled(command: Command, outcome: string): NetdiskError {
    return new NetdiskError(
      "CANCELLED",
      `${this.label}: ${shown(command)} was cancelled. ${outcome} Run \`pulumi up\` to continue.`,
    );
  }
}

function bytes(stdin: ExecOptions["stdin"]): Buffer | undefined {
  const plain = stdin instanceof Secret ? stdin.reveal() : stdin;
  return typeof plain === "string" ? Buffer.from(plain) : plain;
}
