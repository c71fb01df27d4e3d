/**
 * A value that must not be seen: it prints as `***` wherever text or JSON is made of it, so a slip shows
 * three stars instead of a key. `reveal()` is the only way to the value; its uses are few and greppable.
 */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return "***";
  }

  toJSON(): string {
    return "***";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "Secret(***)";
  }
}
