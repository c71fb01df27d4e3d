/** A host as one request sees it: when the request is cancelled or out of time, so is all it does there. */
import { setTimeout as sleep } from "node:timers/promises";
import { NetdiskError } from "./errors";
import type { Host } from "./host/host";

export interface TimeLimit {
  signal: AbortSignal;
  clear: () => void;
}

/**
 * A signal that is raised after `ms`, or with `outer`. Not AbortSignal.timeout and AbortSignal.any: Node 20
 * may collect such a pair as garbage, and then it is never raised.
 */
export function timeLimit(ms: number, outer?: AbortSignal): TimeLimit {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, ms);
  if (outer?.aborted) abort();
  outer?.addEventListener("abort", abort);
  const clear = () => {
    clearTimeout(timer);
    outer?.removeEventListener("abort", abort);
  };
  return { signal: controller.signal, clear };
}

/**
 * Rejects `graceMs` after the signal was raised at the latest. The host layer ends commands by itself when
 * the signal comes; this is for a connection that does not even answer to that.
 */
export async function orAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  graceMs: number,
  label: string,
): Promise<T> {
  const settled = new AbortController();
  const aborted = async (): Promise<never> => {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true, signal: settled.signal });
    });
    await sleep(graceMs, undefined, { signal: settled.signal });
    throw new NetdiskError("CANCELLED", `${label}: cancelled. Run the same command again to continue.`);
  };
  const limit = aborted();
  // Whichever loses the race has nobody who listens to it.
  limit.catch(() => undefined);
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, limit]);
  } finally {
    settled.abort();
  }
}

export function boundHost(host: Host, signal: AbortSignal, graceMs = 20_000): Host {
  const bound = <T>(start: () => Promise<T>): Promise<T> => {
    if (signal.aborted) {
      return Promise.reject(
        new NetdiskError("CANCELLED", `${host.label}: cancelled. Run it again to continue.`),
      );
    }
    return orAborted(start(), signal, graceMs, host.label);
  };
  return {
    label: host.label,
    exec: (command, options) => bound(() => host.exec(command, { signal, ...options })),
    run: (command, options) => bound(() => host.run(command, { signal, ...options })),
    readFile: (path) => bound(() => host.readFile(path)),
    writeFile: (path, content, options) => bound(() => host.writeFile(path, content, options)),
    waitForLock: (lock, options) => bound(() => host.waitForLock(lock, { signal, ...options })),
    close: () => host.close(),
  };
}
