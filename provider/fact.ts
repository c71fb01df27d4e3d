/** A fact is one question to a host: the command that asks, and a pure function that understands the answer. */
import { NetdiskError, unreadable } from "./errors";
import type { ExecOptions, ExecResult, Host } from "./host/host";
import type { Command } from "./host/sh";
import { programMissing, shellGaveUp } from "./host/shellSaid";

export interface Fact<A extends unknown[], T> {
  /** `losetup.list`: tool and question; also the folder of its test cases. */
  name: string;
  command(...args: A): Command;
  /** Milliseconds, for a question whose answer takes longer than others; default: the host's own limit. */
  timeoutMs?: number;
  /** Debian package of the program that is asked; where it is not known, the user has to find it. */
  package?: string;
  /**
   * Understands the answer, or throws: a line or an exit status that it does not know is never skipped,
   * because "cannot read" is never "absent".
   */
  parse(result: ExecResult, ...args: A): T;
}

/** Thrown by a `parse` that understands what is wrong on the host: says that, and ends with the cure. */
export class BadAnswer extends Error {}

/** Exit status of a shell that does not find a program. */
const notFound = 127;

/**
 * Asks the host. An answer that does not parse becomes an UNREADABLE error with host, command and output, or NO_TOOL
 * where the shell did not find the program. What the shell could not run has no answer at all: it is not even parsed.
 */
export function ask<A extends unknown[], T>(host: Host, fact: Fact<A, T>, ...args: A): Promise<T> {
  return askWith(host, fact, {}, ...args);
}

/** Like ask, for a question that needs a secret: it goes to the command's standard input. */
export async function askWith<A extends unknown[], T>(
  host: Host,
  fact: Fact<A, T>,
  options: Pick<ExecOptions, "stdin">,
  ...args: A
): Promise<T> {
  const command = fact.command(...args);
  const { timeoutMs } = fact;
  const result = await host.exec(command, {
    ...options,
    reads: true,
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  const asked = `${host.label}: cannot understand the answer of \`${command.text}\` (exit status ${result.exitCode}): `;
  const noTool = (said: string, cause?: unknown) =>
    new NetdiskError(
      "NO_TOOL",
      `${asked}${said}. Install ${fact.package === undefined ? "the program's package" : `the package ${fact.package}`} on the host; those that netdisk needs, \`pulumi up\` installs.`,
      { cause },
    );
  const stuck = shellGaveUp(result.stderr);
  if (stuck !== undefined) {
    throw new NetdiskError(
      "UNREADABLE",
      `${asked}${stuck}\nThe host has no memory or no process left to start a program with. ` +
        "End there what takes them up (`top`), then run `pulumi up` again.",
    );
  }
  const missing = programMissing(result.stderr);
  if (missing !== undefined) throw noTool(missing);
  try {
    return fact.parse(result, ...args);
  } catch (error) {
    if (error instanceof BadAnswer) {
      throw new NetdiskError("UNREADABLE", `${host.label}: ${error.message}`, { cause: error });
    }
    if (result.exitCode === notFound) throw noTool(result.stderr.trim(), error);
    const output = `${result.stdout}${result.stderr}`.trim().split("\n").slice(-5).join("\n");
    throw new NetdiskError(
      "UNREADABLE",
      `${asked}${error instanceof Error ? error.message : String(error)}\n${output}\n` +
        `Run the command on the host; if its output is in order, please report it.`,
      { cause: error },
    );
  }
}

/**
 * What a file of netdisk's own on the host says, by a pure function that throws where it does not understand; undefined
 * where there is no such file.
 *
 * @param cure Last sentence of the UNREADABLE error: what mends a file that somebody damaged.
 */
export async function askFile<T>(
  host: Host,
  path: string,
  parse: (text: string) => T,
  cure: string,
): Promise<T | undefined> {
  const content = await host.readFile(path);
  if (content === undefined) return undefined;
  try {
    return parse(content.toString("utf8"));
  } catch (error) {
    throw unreadable(host.label, path, error instanceof Error ? error.message : String(error), cure);
  }
}
