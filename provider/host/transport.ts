import type { Secret } from "../../schema/secret";

/** How a command line gets to a machine and its output back; everything else is the same for all (shell.ts). */
export interface ProcessListener {
  /**
   * The machine has accepted the command: from here on it may have had effects. `run`: the mark of its processes, where
   * that is not the command's own.
   */
  onStart(run?: string): void;
  onStdout(chunk: Buffer): void;
  onStderr(chunk: Buffer): void;
  /** Exit status; 128 + n for signal n. Output may still follow. */
  onExit(exitCode: number): void;
}

export interface KeptStart {
  /** What makes a shell whose mark is `run`: the login shell's line, and the first input. */
  shell: (run: string) => { line: string; input: string };
  /** For the shell's standard input. */
  command: string;
  /** The beginning of the last line of both outputs; the exit status follows it. */
  endNotice: string;
}

export interface StartOptions {
  /** Written to standard input, which is then closed. */
  stdin?: Buffer;
  /** Instead of stdin: is given what writes to standard input, which stays open. */
  feed?: (write: (text: string) => void) => void;
  /** Changes nothing on the machine, and may run in a shell that is kept open: what starts that, and what it is told. */
  kept?: KeptStart;
  /** Aborted before the start: it never starts. After: our side is closed, the command is left alone. */
  signal: AbortSignal;
  /** Does not wait for its turn: ends something that holds one. */
  urgent?: boolean;
}

export interface Login {
  user: string;
  /** For a user who is not root; without one, sudo must not ask. */
  sudoPassword?: Secret;
}

export interface Transport {
  /** See Host.label; may become more precise with the first use. */
  readonly label: string;

  /** Who runs the commands. Reaches nobody. */
  login(): Promise<Login>;

  /**
   * Runs one line of shell. Resolves when the command and all that write to its output have ended.
   * @throws UNREACHABLE when the machine cannot be reached or the connection is lost meanwhile.
   */
  start(line: string, listener: ProcessListener, options: StartOptions): Promise<void>;

  close(): Promise<void>;
}
