/** Collects what a command prints, within a limit, and cuts it into lines for whoever follows it. */

/** Bytes; a fact that prints more than this is a mistake, and memory is not endless. */
export const outputLimit = 64 * 1024 * 1024;

export class Output {
  readonly #chunks: Buffer[] = [];
  readonly #onLine?: (line: string) => void;
  #rest = "";
  /** Text of ours at the beginning that is not part of the output, until it has been seen. */
  #notice?: Buffer;
  #onNotice?: () => void;
  size = 0;

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** Takes `notice` out of the beginning of the output and reports its arrival. */
  expect(notice: string, onNotice: () => void): void {
    this.#notice = Buffer.from(notice);
    this.#onNotice = onNotice;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.size += chunk.length;
    if (this.#notice) {
      const start = Buffer.concat(this.#chunks);
      if (start.length < this.#notice.length && this.#notice.subarray(0, start.length).equals(start)) return;
      const seen = start.subarray(0, this.#notice.length).equals(this.#notice);
      const rest = seen ? start.subarray(this.#notice.length) : start;
      this.#notice = undefined;
      this.#chunks.splice(0, this.#chunks.length, rest);
      if (seen) this.#onNotice?.();
      chunk = rest;
    }
    if (this.#onLine) this.#cut(chunk.toString("latin1"));
  }

  // In latin1, so that a character that arrives in two halves is put together again before it is decoded.
  #cut(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    lines.forEach((line) => this.#tell(line));
  }

  #tell(line: string): void {
    // A progress bar writes many states into one line; the last one is what a terminal would show.
    const shown = Buffer.from(line, "latin1").toString().replace(/\r+$/, "");
    this.#onLine?.(shown.slice(shown.lastIndexOf("\r") + 1));
  }

  /** All of it. Also tells a last line that has no end. */
  end(): Buffer {
    if (this.#rest !== "") this.#tell(this.#rest);
    this.#rest = "";
    return Buffer.concat(this.#chunks);
  }
}
