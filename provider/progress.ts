/** What a person sees while a step runs: `make (14 s): CC nbd-client.o`, on the resource's own line. */
import { Secret } from "../schema/secret";
import { printable } from "./printable";
import { trace, type TraceLine } from "./trace";
import type { Log } from "./wire/engine";
import { isTree } from "./wire/values";

/** Steps that end sooner say nothing. */
const quietMs = 2000;
const everyMs = 1000;

/** Makes text that a host wrote fit to be shown: without secrets, and without what controls a terminal. */
export type Mask = (text: string) => string;

function secretsIn(value: unknown): string[] {
  if (value instanceof Secret) {
    const inner: unknown = value.reveal();
    return typeof inner === "string" ? [inner] : secretsIn(inner).concat(texts(inner));
  }
  if (Array.isArray(value)) return value.flatMap(secretsIn);
  if (isTree(value)) return Object.values(value).flatMap(secretsIn);
  return [];
}

function texts(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(texts);
  return isTree(value) ? Object.values(value).flatMap(texts) : [];
}

/** A mask for all secrets in these properties. A secret of many lines is masked line by line, too. */
export function maskOf(...properties: unknown[]): Mask {
  const secrets = secretsIn(properties)
    .flatMap((secret) => [secret, ...secret.split("\n")])
    .filter((secret) => secret.trim().length >= 4)
    .sort((a, b) => b.length - a.length);
  // A secret may hold control characters, so it is looked for before they go.
  return (text) => printable(secrets.reduce((masked, secret) => masked.replaceAll(secret, "***"), text));
}

export interface Progress {
  /** Runs `work` under a title; `onLine` gets what the host prints meanwhile. */
  during<T>(title: string, work: (onLine: (line: string) => void) => Promise<T>): Promise<T>;
  /** What NETDISK_TRACE is told. */
  trace(line: Omit<TraceLine, "time" | "urn">): void;
  /** A line that stays in the display. */
  say(message: string, severity?: "info" | "warning"): void;
}

export function progressOf(log: Log, urn: string, mask: Mask): Progress {
  return {
    async during(title, work) {
      const start = Date.now();
      let last = "";
      const timer = setInterval(() => {
        const passed = Date.now() - start;
        if (passed < quietMs) return;
        // Cut after the mask: it knows no half of a secret.
        const line = last === "" ? "" : `: ${mask(last).slice(0, 200)}`;
        log.say(urn, `${mask(title)} (${Math.round(passed / 1000)} s)${line}`, { ephemeral: true });
      }, everyMs);
      try {
        return await work((line) => {
          if (line.trim() !== "") last = line.trim();
        });
      } finally {
        clearInterval(timer);
      }
    },
    trace: ({ step, command, ...line }) =>
      trace({ urn, ...line, step: mask(step), ...(command !== undefined && { command: mask(command) }) }),
    say: (message, severity = "info") => log.say(urn, mask(message), { severity }),
  };
}
