/**
 * Commands that only read, one after another in a few shells that are kept open. A channel of its own costs each of them
 * a process of sshd's and the start of the login's shell: most of the time that a short command takes.
 */
import { randomBytes } from "node:crypto";
import { NetdiskError } from "../errors";
import type { KeptStart, Login, ProcessListener, StartOptions, Transport } from "./transport";
import { Turns } from "./turns";

const shellsAtOnce = 4;

/** One output of a command, up to the notice that ends it. What may be the notice is all that it holds. */
export class UntilNotice {
  readonly #notice: Buffer;
  #rest = Buffer.alloc(0);
  /** Once the notice has come. */
  exitCode?: number;

  constructor(notice: string) {
    this.#notice = Buffer.from(notice);
  }

  /**
   * Returns what certainly belongs to the command.
   * @throws Error where something else than an exit status follows the notice.
   */
  add(chunk: Buffer): Buffer {
    // From a daemon that the command has left behind, while the other output is still to end.
    if (this.exitCode !== undefined) return Buffer.of();
    const all = Buffer.concat([this.#rest, chunk]);
    const at = all.indexOf(this.#notice);
    const known = at < 0 ? all.length - this.#begun(all) : at;
    this.#rest = all.subarray(known);
    if (at >= 0) this.exitCode = this.#status();
    return all.subarray(0, known);
  }

  /** Undefined while its line is not whole. */
  #status(): number | undefined {
    const said = this.#rest.subarray(this.#notice.length, this.#notice.length + 4).toString("latin1");
    const status = /^([0-9]{1,3})\n/.exec(said)?.[1];
    if (status !== undefined) return Number(status);
    if (!/^[0-9]{0,3}$/.test(said)) throw new Error(`no exit status: ${JSON.stringify(said)}`);
    return undefined;
  }

  /** Bytes at the end that may be the beginning of the notice. */
  #begun(all: Buffer): number {
    let bytes = Math.min(all.length, this.#notice.length - 1);
    while (!all.subarray(all.length - bytes).equals(this.#notice.subarray(0, bytes))) bytes--;
    return bytes;
  }
}

interface Running {
  listener: ProcessListener;
  stdout: UntilNotice;
  stderr: UntilNotice;
  resolve(): void;
  reject(error: unknown): void;
}

class KeptShell {
  readonly #run = randomBytes(6).toString("hex");
  readonly #stop = new AbortController();
  readonly #write: Promise<(text: string) => void>;
  readonly #transport: Transport;
  #running?: Running;
  ended = false;

  constructor(transport: Transport, { shell }: KeptStart) {
    const { line, input } = shell(this.#run);
    this.#transport = transport;
    this.#write = new Promise((resolve) => {
      const feed = (write: (text: string) => void) => {
        if (input) write(input);
        resolve(write);
      };
      transport
        .start(
          line,
          {
            onStart: () => {},
            onStdout: (chunk) => this.#hear("stdout", chunk),
            onStderr: (chunk) => this.#hear("stderr", chunk),
            // Only when somebody has ended it, with what it runs.
            onExit: (exitCode) => this.#running?.listener.onExit(exitCode),
          },
          { signal: this.#stop.signal, feed },
        )
        .then(
          () => this.#end((running) => running.resolve()),
          (error: unknown) => this.#end((running) => running.reject(error)),
        );
    });
  }

  /** One at a time. */
  run({ command, endNotice }: KeptStart, listener: ProcessListener, signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#stop.abort();
    return new Promise<void>((resolve, reject) => {
      this.#running = {
        ...{ listener, resolve, reject },
        ...{ stdout: new UntilNotice(endNotice), stderr: new UntilNotice(endNotice) },
      };
      signal.addEventListener("abort", onAbort);
      void this.#write.then((write) => {
        if (this.ended || signal.aborted) return;
        write(command);
        listener.onStart(this.#run);
      });
    }).finally(() => signal.removeEventListener("abort", onAbort));
  }

  #hear(which: "stdout" | "stderr", chunk: Buffer): void {
    const running = this.#running;
    // Between two commands: from a daemon that one has left behind.
    if (!running) return;
    let text: Buffer;
    try {
      text = running[which].add(chunk);
    } catch (error) {
      const unreadable = this.#unreadable((error as Error).message);
      this.#stop.abort();
      this.#end((ending) => ending.reject(unreadable));
      return;
    }
    if (text.length > 0) running.listener[which === "stdout" ? "onStdout" : "onStderr"](text);
    const { exitCode } = running.stdout;
    if (exitCode === undefined || running.stderr.exitCode === undefined) return;
    this.#running = undefined;
    running.listener.onExit(exitCode);
    running.resolve();
  }

  #unreadable(found: string): NetdiskError {
    return new NetdiskError(
      "UNREADABLE",
      `${this.#transport.label}: the shell that runs netdisk's questions ends one with ${found}. ` +
        "See on the host what the login's shell and `sh` are, then run the same again.",
    );
  }

  #end(tell: (running: Running) => void): void {
    this.ended = true;
    if (this.#running) tell(this.#running);
    this.#running = undefined;
  }
}

export class KeptShells implements Transport {
  readonly #transport: Transport;
  readonly #turns = new Turns(shellsAtOnce);
  #idle: KeptShell[] = [];

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get label(): string {
    return this.#transport.label;
  }

  login(): Promise<Login> {
    return this.#transport.login();
  }

  async start(line: string, listener: ProcessListener, options: StartOptions): Promise<void> {
    const { kept } = options;
    if (!kept) return this.#transport.start(line, listener, options);
    const done = await this.#turns.take();
    try {
      if (options.signal.aborted) return;
      this.#idle = this.#idle.filter(({ ended }) => !ended);
      const shell = this.#idle.pop() ?? new KeptShell(this.#transport, kept);
      await shell.run(kept, listener, options.signal);
      this.#idle.push(shell);
    } finally {
      done();
    }
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}
