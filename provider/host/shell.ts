/** The Host, on any transport: what runs, how long, what becomes of it when it takes too long. */
import { randomBytes } from "node:crypto";
import { Secret } from "../../schema/secret";
import { NetdiskError } from "../errors";
import {
  absentByCat,
  beginNotice,
  type Elevation,
  end,
  endNotice,
  keptCommand,
  keptShell,
  lockNotice,
  passwordInput,
  readCommand,
  tryPassword,
  waitCommand,
  wrap,
  writeCommand,
} from "./commands";
import type { ExecOptions, ExecResult, FileOptions, Host } from "./host";
import { Output, outputLimit } from "./output";
import { notRoot, seconds, shown, tail } from "./say";
import type { Command } from "./sh";
import type { KeptStart, Login, Transport } from "./transport";

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

const elevationOf = ({ user, sudoPassword }: Login): Elevation =>
  user === "root" ? "root" : sudoPassword ? "sudo with password" : "sudo";

export class ShellHost implements Host {
  readonly #transport: Transport;
  #login?: Promise<Login>;
  /**
   * Questions that wait for a shell. Who asks the same meanwhile gets the same answer: no older than one of their own,
   * and resources that look at the same thing ask at the same moment.
   */
  readonly #waiting = new Map<string, Promise<Ended>>();

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
      `${this.label}: ${shown(command, options)} ended with status ${result.exitCode}: ` +
        `${tail(result.stderr.trim() ? result.stderr : result.stdout)}\n` +
        `Put right on the host what it complains about, then run \`pulumi up\` again: it continues from there.`,
    );
  }

  async readFile(path: string): Promise<Buffer | undefined> {
    const { exitCode, stdout, stderr } = await this.#exec(readCommand(path), { reads: true });
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
    if (!isQuestion(options) || options.onLine) return this.#perform(command, options);
    const question = `${options.timeoutMs} ${command.text}`;
    const waiting = this.#waiting.get(question);
    if (waiting) {
      try {
        return await waiting;
      } catch (error) {
        const isOthers =
          error instanceof NetdiskError && error.code === "CANCELLED" && !options.signal?.aborted;
        if (!isOthers) throw error;
        return this.#perform(command, options);
      }
    }
    const begun = () => this.#waiting.delete(question);
    const asked = this.#perform(command, options, begun);
    this.#waiting.set(question, asked);
    try {
      return await asked;
    } finally {
      if (this.#waiting.get(question) === asked) begun();
    }
  }

  async #perform(command: Command, options: ExecOptions, begun?: () => void): Promise<Ended> {
    const { signal } = options;
    const locks = typeof options.lock === "string" ? [options.lock] : (options.lock ?? []);
    const login = await this.#loggedIn();
    if (signal?.aborted) throw this.#cancelled(shown(command, options), "It was not started.");
    const run = randomBytes(6).toString("hex");
    const line = wrap(command, { run, as: elevationOf(login), locks });
    const stdout = new Output(options.onLine);
    const stderr = new Output(options.onLine);
    let began = false;
    stdout.expect(beginNotice(run));
    stderr.expect(beginNotice(run), () => (began = true));
    const stop = new AbortController();
    const timers: Record<string, NodeJS.Timeout> = {};
    const timer = (name: string, ms: number, action: () => void) => {
      clearTimeout(timers[name]);
      timers[name] = setTimeout(action, ms);
    };
    let onAbort: (() => void) | undefined;

    try {
      return await new Promise<Ended>((resolve, reject) => {
        let started: string | undefined;
        let stopping = false;
        let exitCode: number | undefined;

        const finish = () => {
          if (stopping || exitCode === undefined) return;
          const ended = { exitCode, stdout: stdout.end(), stderr: stderr.end() };
          if (began) resolve(ended);
          else reject(this.#notRoot(login, ended));
        };
        const interrupt = (error: (outcome: string) => NetdiskError) => {
          if (stopping) return;
          stopping = true;
          const outcome = started ? this.#end(started, login) : Promise.resolve("It was not started.");
          void outcome.then((text) => reject(error(text)));
        };
        const limit = () => {
          const ms = options.timeoutMs ?? defaultTimeoutMs;
          timer("limit", ms, () =>
            interrupt((outcome) => this.#tooLong(shown(command, options), ms, outcome)),
          );
        };
        const receive = (output: Output, chunk: Buffer) => {
          output.add(chunk);
          if (exitCode !== undefined) timer("linger", lingerMs, finish);
          if (stdout.size + stderr.size > outputLimit)
            interrupt((outcome) => this.#tooMuch(shown(command, options), outcome));
        };

        onAbort = () => interrupt((outcome) => this.#cancelled(shown(command, options), outcome));
        signal?.addEventListener("abort", onAbort);
        if (locks.length > 0) stderr.expect(lockNotice(locks), limit);

        this.#transport
          .start(
            line,
            {
              onStart: (marked = run) => {
                started = marked;
                begun?.();
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
            {
              ...{ stdin: inputOf(login, run, options.stdin), signal: stop.signal },
              ...(isQuestion(options) && { kept: keptStart(command, run, login) }),
            },
          )
          .then(finish, (error: unknown) => {
            // What ended it has the better explanation.
            if (!stopping) reject(error instanceof Error ? error : new Error(String(error)));
          });
      });
    } finally {
      Object.values(timers).forEach(clearTimeout);
      if (onAbort) signal?.removeEventListener("abort", onAbort);
      stop.abort();
    }
  }

  /** Ends what `run` started and says what became of it. */
  async #end(run: string, login: Login): Promise<string> {
    const ending = randomBytes(6).toString("hex");
    const stdout = new Output();
    stdout.expect(beginNotice(ending));
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), endTimeoutMs);
    let exitCode: number | undefined;
    const unknown = "It could not be ended and may still be running on the host.";
    try {
      await Promise.race([
        new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve())),
        this.#transport.start(
          wrap(end(run), { run: ending, as: elevationOf(login) }),
          {
            onStart: () => {},
            onStdout: (chunk) => stdout.add(chunk),
            onStderr: () => {},
            onExit: (status) => (exitCode = status),
          },
          { stdin: inputOf(login, ending), signal: stop.signal, urgent: true },
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

  /**
   * A password is tried once, alone: a wrong one must not make sudo take a command's input for the next, and some hosts
   * lock an account after a few.
   */
  #loggedIn(): Promise<Login> {
    this.#login ??= this.#logIn().catch((error: unknown) => {
      if (!(error instanceof NetdiskError && error.code === "CONFIG")) this.#login = undefined;
      throw error;
    });
    return this.#login;
  }

  async #logIn(): Promise<Login> {
    const login = await this.#transport.login();
    if (elevationOf(login) !== "sudo with password") return login;
    const stderr = new Output();
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), defaultTimeoutMs);
    let exitCode: number | undefined;
    try {
      await this.#transport.start(
        tryPassword,
        {
          onStart: () => {},
          onStdout: () => {},
          onStderr: (chunk) => stderr.add(chunk),
          onExit: (status) => (exitCode = status),
        },
        { stdin: Buffer.from(`${login.sudoPassword?.reveal()}\n`), signal: stop.signal },
      );
    } finally {
      clearTimeout(timer);
    }
    if (exitCode === 0) return login;
    throw this.#notRoot(login, { stdout: Buffer.of(), stderr: stderr.end() });
  }

  #notRoot(login: Login, { stdout, stderr }: Pick<Ended, "stdout" | "stderr">): NetdiskError {
    const said = `${stderr.toString()}${stdout.toString()}`;
    return new NetdiskError("CONFIG", `${this.label}: ${notRoot(login, said)}`);
  }

  #tooLong(what: string, ms: number, outcome: string): NetdiskError {
    return new NetdiskError(
      "TIMEOUT",
      `${this.label}: ${what} took longer than ${seconds(ms)}. ${outcome} ` +
        `See on the host what it waits for, then run \`pulumi up\` again.`,
    );
  }

  #tooMuch(what: string, outcome: string): NetdiskError {
    return new NetdiskError(
      "UNREADABLE",
      `${this.label}: ${what} printed more than ${outputLimit / 1024 / 1024} MiB. ${outcome} ` +
        `Run the command on the host; if its output is in order, please report it.`,
    );
  }

  #cancelled(what: string, outcome: string): NetdiskError {
    return new NetdiskError(
      "CANCELLED",
      `${this.label}: ${what} was cancelled. ${outcome} Run \`pulumi up\` to continue.`,
    );
  }
}

const isQuestion = ({ reads, stdin, lock }: ExecOptions): boolean =>
  reads === true && stdin === undefined && lock === undefined;

const keptStart = (command: Command, run: string, login: Login): KeptStart => ({
  shell: (shellRun) => ({
    line: keptShell(shellRun, elevationOf(login)),
    input: inputOf(login, shellRun)?.toString() ?? "",
  }),
  command: keptCommand(command, run),
  endNotice: endNotice(run),
});

function inputOf(login: Login, run: string, stdin?: ExecOptions["stdin"]): Buffer | undefined {
  const plain = stdin instanceof Secret ? stdin.reveal() : stdin;
  const input = typeof plain === "string" ? Buffer.from(plain) : plain;
  if (elevationOf(login) !== "sudo with password" || !login.sudoPassword) return input;
  return Buffer.concat([Buffer.from(passwordInput(login.sudoPassword.reveal(), run)), input ?? Buffer.of()]);
}
