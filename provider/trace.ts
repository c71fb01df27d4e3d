/**
 * NETDISK_TRACE=FILE: every step that changes a host, as a line of JSON when it begins and another when it has ended.
 * For an operator who must account for what a run did, and for tests that strike at a certain step.
 */
import { appendFileSync } from "node:fs";
import { NetdiskError } from "./errors";
import { projectPath } from "./host/projectPath";

export interface TraceLine {
  /** ISO 8601, UTC. */
  time: string;
  event: "begin" | "done" | "failed";
  urn: string;
  host: string;
  /** As a preview words it after `would run: `; secrets masked. */
  step: string;
  /** Of a command that begins, its whole text, for which the step may have only a title; secrets masked, without its input. */
  command?: string;
}

/** Written before this returns: a provider that is killed in the step has said that it began. */
export function trace(line: Omit<TraceLine, "time">): void {
  const file = process.env.NETDISK_TRACE;
  if (!file) return;
  try {
    // Several providers, one for each host, append to it; a short append is never torn (write(2), O_APPEND).
    appendFileSync(projectPath(file), `${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`, {
      mode: 0o600,
    });
  } catch (error) {
    throw new NetdiskError(
      "CONFIG",
      `NETDISK_TRACE: ${file} cannot be written: ${(error as Error).message}. Name a file in a directory that exists, or unset it.`,
      { cause: error },
    );
  }
}
