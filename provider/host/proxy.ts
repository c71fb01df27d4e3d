/** A ProxyCommand: its stdin and stdout are the connection. */
import { spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

export interface Proxy {
  stream: Duplex;
  /** What it said on stderr and how it ended, the reason when a connection fails; empty if it just runs. */
  said(): Promise<string>;
  end(): void;
}

export function startProxy(command: string): Proxy {
  const child = spawn("sh", ["-c", `exec ${command}`], {
    stdio: ["pipe", "pipe", "pipe"],
    // Ctrl-C must not cut the connection before the commands on the host were ended through it.
    detached: true,
  });
  let stderr = "";
  let ended = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr = `${stderr}${chunk.toString()}`.slice(-2000)));
  child.on("error", (error) => (ended = error.message));
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  child.on("exit", (code, signal) => (ended ||= `ended with ${signal ?? `status ${code}`}`));
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  return {
    stream,
    async said() {
      // The end of its output arrives before its exit status does.
      await Promise.race([closed, sleep(300, undefined, { ref: false })]);
      return [stderr.trim(), ended].filter(Boolean).join("; ");
    },
    end() {
      stream.destroy();
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      try {
        // The group: the command may be a pipeline.
        process.kill(-child.pid, "SIGTERM");
      } catch {
        // It has just ended by itself.
      }
    },
  };
}
