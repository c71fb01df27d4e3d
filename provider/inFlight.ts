/** The requests that are being worked on, so that they can be ended and waited for. */
export class InFlight {
  readonly #running = new Map<Promise<unknown>, AbortController>();

  get size(): number {
    return this.#running.size;
  }

  /** Runs `work`; its signal is raised by `cancel`. */
  async track<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const running = work(controller.signal);
    this.#running.set(running, controller);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  cancel(): void {
    for (const controller of this.#running.values()) controller.abort();
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.keys());
  }
}
