/** What the provider knows of a machine it works on, however it gets there. */
import type { Secret } from "../../schema/secret";
import type { Command } from "./sh";

export interface ExecResult {
  /** Exit status; 128 + n when signal n ended the command, as a shell reports it. */
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface ExecOptions {
  /** Written to the command's standard input, which is then closed. The only way for a secret. */
  stdin?: string | Buffer | Secret | Secret<Buffer>;
  /** What errors call the command; without, its own text or the beginning of that. */
  title?: string;
  /** Milliseconds until the command is ended and the call rejects; default 60 000. */
  timeoutMs?: number;
  /** Ends the command on the host (SIGTERM to its process group) and rejects the call. */
  signal?: AbortSignal;
  /** Called with each line of stdout and stderr as it arrives: the source of progress messages. */
  onLine?: (line: string) => void;
  /** For run: the exit status with which the command says, in its own words, that somebody uses the thing. */
  inUse?: number;
  /** Changes nothing on the host: may be run in a shell that is kept open for such commands. */
  reads?: boolean;
  /**
   * Hold this lock on the host while the command and all it started run, even if we are killed meanwhile:
   * the next run then waits for the orphan instead of doing the work twice. Path-safe names; several are
   * taken in their order, so callers keep to one order. `timeoutMs` begins when they are held.
   */
  lock?: string | readonly string[];
}

export interface FileOptions {
  /** Permission bits, such as 0o644. */
  mode: number;
  /** `user:group`; default `root:root`. */
  owner?: string;
}

export interface Host {
  /** For messages: the user's own name for the host and how it is reached, `backup (root@203.0.113.7:22)`. */
  readonly label: string;

  /**
   * Runs a command as root and returns how it ended; a non-zero exit is a result, not an error.
   * @throws NetdiskError UNREACHABLE, TIMEOUT, CANCELLED or CONFIG (sudo) where there is no result to return;
   *   each says whether the command was ended or may still be running.
   */
  exec(command: Command, options?: ExecOptions): Promise<ExecResult>;

  /** Like exec, but a non-zero exit throws COMMAND (host, command, status, last lines of stderr), or IN_USE (host, stderr). */
  run(command: Command, options?: ExecOptions): Promise<string>;

  /**
   * The file's bytes; undefined only when the host says that there is no such file (ENOENT, ENOTDIR).
   * @throws NetdiskError UNREADABLE for everything else, also for a symbolic link to nothing.
   */
  readFile(path: string): Promise<Buffer | undefined>;

  /**
   * Replaces the file (or link) atomically: temporary file in the same directory, owner and mode, content,
   * fsync, rename. Missing directories are made, 0755 root.
   * @throws NetdiskError COMMAND; the old file is then unchanged.
   */
  writeFile(path: string, content: string | Buffer, options: FileOptions): Promise<void>;

  /** Resolves once no command that took `lock` is running on the host any more; timeoutMs: default 15 min. */
  waitForLock(lock: string, options?: Pick<ExecOptions, "signal" | "timeoutMs">): Promise<void>;

  close(): Promise<void>;
}
