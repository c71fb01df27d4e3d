/** Collects what a command prints, within a limit, and cuts it into lines for whoever follows it. */

/** Bytes; a fact that prints more than this is a mistake, and memory is not endless: what follows is only counted. */
export const outputLimit = 64 * 1024 * 1024;

export class Output {
  readonly #chunks: Buffer[] = [];
  readonly #onLine?: (line: string) => void;
  #rest = "";
  /** Lines of ours, in their order, that still have to come. */
  readonly #notices: { text: Buffer; onSeen: () => void }[] = [];
  size = 0;

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** Takes `notice` and all that came before it out of the output, and reports its arrival. Several come in order. */
  expect(notice: string, onSeen: () => void = () => {}): void {
    this.#notices.push({ text: Buffer.from(notice), onSeen });
  }

  add(chunk: Buffer): void {
    this.size += chunk.length;
    if (this.size > outputLimit) return;
    this.#chunks.push(chunk);
    let rest: Buffer | undefined = chunk;
    while (rest && this.#notices.length > 0) rest = this.#skip();
    if (rest && this.#onLine) this.#cut(rest.toString("latin1"));
  }

  /** What follows the next notice; undefined while it has not come. */
  #skip(): Buffer | undefined {
    const all = Buffer.concat(this.#chunks);
    const [next] = this.#notices;
    const at = next ? all.indexOf(next.text) : -1;
    this.#chunks.splice(0, this.#chunks.length, all);
    if (!next || at < 0) return undefined;
    const rest = all.subarray(at + next.text.length);
    this.#chunks.splice(0, 1, rest);
    this.#notices.shift();
    next.onSeen();
    return rest;
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
