/** The machine that runs Pulumi as a Host: the same commands, by child processes. */
import { spawn } from "node:child_process";
import { constants, homedir, hostname, userInfo } from "node:os";
import type { Secret } from "../../schema/secret";
import { NetdiskError } from "../errors";
import { ShellHost } from "./shell";
import type { Login, ProcessListener, StartOptions, Transport } from "./transport";

class LocalTransport implements Transport {
  readonly label = `${hostname()} (this machine)`;

  constructor(private readonly sudoPassword?: Secret) {}

  async login(): Promise<Login> {
    const user = process.getuid?.() === 0 ? "root" : userInfo().username;
    return { user, sudoPassword: this.sudoPassword };
  }

  start(line: string, listener: ProcessListener, { stdin, signal }: StartOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const child = spawn("/bin/sh", ["-c", line], {
        // A session of its own, as sshd gives one: Ctrl-C at our terminal does not reach it, we end it.
        detached: true,
        cwd: "/",
        // Not ours: Pulumi keeps passphrases and configuration in it.
        env: { HOME: homedir(), USER: userInfo().username, PATH: process.env.PATH },
        stdio: ["pipe", "pipe", "pipe"],
      });
      child.on("spawn", () => listener.onStart());
      child.on("error", (error) =>
        reject(
          new NetdiskError(
            "UNREACHABLE",
            `${this.label}: /bin/sh cannot be started: ${error.message}. Run Pulumi where there is one, and where processes may be started.`,
            {
              cause: error,
            },
          ),
        ),
      );
      child.stdout.on("data", (chunk: Buffer) => listener.onStdout(chunk));
      child.stderr.on("data", (chunk: Buffer) => listener.onStderr(chunk));
      child.on("exit", (code, name) => listener.onExit(code ?? 128 + (name ? constants.signals[name] : 0)));
      child.on("close", () => resolve());
      // A command that does not want its input closes it; its exit status says whether that matters.
      child.stdin.on("error", () => {});
      child.stdin.end(stdin);
      signal.addEventListener("abort", () => {
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
      });
    });
  }

  async close(): Promise<void> {
    // Nothing is kept open between commands.
  }
}

export const localHost = (sudoPassword?: Secret): ShellHost =>
  new ShellHost(new LocalTransport(sudoPassword));
