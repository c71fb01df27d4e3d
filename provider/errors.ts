/**
 * Errors for the person at the terminal: which host, which file or command, what was found and, as the last
 * sentence, the cure. Codes are stable and have a row each in docs/errors.md; tests assert codes.
 */
export type ErrorCode =
  | "CONFIG" // the wish is wrong
  | "UNREACHABLE" // the host does not answer, or not as the pinned host
  | "UNREADABLE" // the host answered, but its answer cannot be understood: never taken as "absent"
  | "NO_TOOL" // the program that would answer is not installed on the host
  | "FOREIGN" // data that is not proven to be ours or blank
  | "CLAIMED" // another stack owns it
  | "IN_USE" // somebody works with what would have to be taken away
  | "COMMAND" // a command on the host failed
  | "TIMEOUT" // a command took too long
  | "CANCELLED" // the user or the engine ended the run
  | "UNFINISHED"; // the plan did not come to an end

export class NetdiskError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = `NetdiskError[${code}]`;
  }
}

interface UnreachableOptions extends ErrorOptions {
  /** Instead of the message where the state knows the host: it may have moved, or be gone for good. */
  whereKnown?: string;
  /** Whether it proved all the same that it has the pinned key: then it runs, whatever it refuses. */
  answered: boolean;
}

/** A host cannot be reached. */
export class Unreachable extends NetdiskError {
  readonly whereKnown: string;
  readonly answered: boolean;

  constructor(message: string, { whereKnown = message, answered, ...options }: UnreachableOptions) {
    super("UNREACHABLE", message, options);
    this.whereKnown = whereKnown;
    this.answered = answered;
  }
}

/**
 * As a person sees it: the code leads to docs/errors.md, the cure stays at the end.
 *
 * @param isKnown Whether the state has what this is about; of a create it has nothing.
 */
export function coded(error: NetdiskError, isKnown = true): string {
  return `${error.code}: ${error instanceof Unreachable && isKnown ? error.whereKnown : error.message}`;
}

/** What may always be done about a disk whose data is gone: nothing that pins the old one goes over to the new one. */
export const giveUpDisk = "remove this disk from the stack and add it under another name.";

export const unreadable = (host: string, what: string, found: string, cure: string): NetdiskError =>
  new NetdiskError("UNREADABLE", `${host}: ${what}: ${found.trim() || "(no output)"}. ${cure}`);

export const foreign = (host: string, what: string, cure: string): NetdiskError =>
  new NetdiskError("FOREIGN", `${host}: ${what}. ${cure}`);
