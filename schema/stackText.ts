/** Finds places in the text of a stack file, and shows them without what is secret. Pure. */
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parse,
  parseDocument,
  type Document,
  type Node,
} from "yaml";
import { isObject, plainText, type Mistake } from "./mistake";
import { nearestOf } from "./nearest";
import { guessedSecrets, secretsAt } from "./stackSecrets";
import { isEncrypted, nameOf, pairsOf, rangeOf, type Place, type Range } from "./yamlNodes";

export interface PlacedMistake extends Mistake {
  place: Range;
}

/** Longest line that is shown; an encrypted value has hundreds of characters. */
const lineWidth = 110;

/** What Pulumi itself knows beside `config`. */
const pulumisKeys = ["config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment"];

export class StackText {
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();
  readonly #secrets: Range[];

  /**
   * @param file the name that messages call it by
   * @param project what Pulumi puts before a key: `netdisk-hosts:server`
   */
  constructor(
    readonly file: string,
    readonly text: string,
    readonly project: string,
  ) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, merge: true, uniqueKeys: false });
    this.#secrets = [
      ...pairsOf(this.#document.contents)
        .filter(({ key }) => !pulumisKeys.includes(nameOf(key)))
        .flatMap((place) => secretsAt(place, [nameOf(place.key)])),
      ...pairsOf(this.#config()).flatMap((place) => secretsAt(place, [this.#short(nameOf(place.key))])),
      ...(this.#document.errors.length > 0 ? guessedSecrets(text) : []),
    ];
  }

  /** What YAML itself has to complain about, one text per line of the file, with its place. */
  syntaxErrors(): string[] {
    const lines = new Set<number>();
    return this.#document.errors.flatMap(({ message, pos: [from, to] }) => {
      const { line } = this.#lines.linePos(from);
      // What follows on the same line is mostly an echo.
      if (lines.has(line)) return [];
      lines.add(line);
      // Some messages end with the text that was found, which may be a secret's.
      const said = (message.split(" at line ")[0] ?? message).replace(/:? "[^]*$/, "");
      return [`${said}\n${this.show([from, Math.max(to, from + 1)])}`];
    });
  }

  /** Mistakes that the engine passes over in silence, so that only the text shows them. */
  silentMistakes(): PlacedMistake[] {
    const at = (key: Node, text: string): PlacedMistake => ({
      path: [nameOf(key)],
      text,
      at: "key",
      place: rangeOf(key),
    });
    const outside = pairsOf(this.#document.contents)
      .map(({ key }) => key)
      .filter((key) => !pulumisKeys.includes(nameOf(key)))
      .map((key) => {
        const near = nearestOf(nameOf(key), pulumisKeys);
        return at(
          key,
          near ? `unknown key; did you mean "${near}"?` : "counts for nothing here. Put it under `config:`.",
        );
      });
    const keys = pairsOf(this.#config()).map(({ key }) => key);
    const twice = keys
      .filter((key, i) =>
        keys.slice(0, i).some((other) => this.#short(nameOf(other)) === this.#short(nameOf(key))),
      )
      .map((key) => at(key, "is there twice, and one of the two counts for nothing. Remove one."));
    const foreign = keys.flatMap((key) => {
      const [namespace = "", ...rest] = nameOf(key).split(":");
      if (rest.length === 0 || namespace === this.project) return [];
      if (nearestOf(namespace, ["netdisk", this.project]) === undefined) return [];
      return [
        at(
          key,
          `counts for nothing: this project is called ${this.project}. Write ${rest.join(":")}, without a prefix.`,
        ),
      ];
    });
    return [...outside, ...twice, ...foreign];
  }

  /** The keys below `config`, without the project's name; text in the place of what is encrypted. */
  values(): Record<string, unknown> {
    const read = (this.#document.toJS() as { config?: unknown } | null)?.config;
    const keys = Object.entries(isObject(read) ? read : {}).map(
      ([key, value]) => [this.#short(key), value] as const,
    );
    // Keys of other packages are none of our business.
    return Object.fromEntries(
      keys.filter(([key]) => !key.includes(":")).map(([key, value]) => [key, readable(value)]),
    );
  }

  isEncrypted(path: readonly string[]): boolean {
    const node = this.#find(path)?.value;
    return isMap(node) && isEncrypted(node);
  }

  /** Where the values lie that Pulumi encrypts. */
  encryptedPaths(): string[][] {
    const below = (node: Node | null, path: string[]): string[][] => {
      if (isSeq(node))
        return node.items.filter(isNode).flatMap((item, i) => below(item, [...path, String(i)]));
      if (isMap(node) && isEncrypted(node)) return [path];
      return pairsOf(node).flatMap(({ key, value }) => below(value, [...path, nameOf(key)]));
    };
    return pairsOf(this.#config())
      .map(({ key, value }) => ({ name: this.#short(nameOf(key)), value }))
      .filter(({ name }) => !name.includes(":"))
      .flatMap(({ name, value }) => below(value, [name]));
  }

  /** Whether the value at a path stands in the file for everybody to read. */
  isPlain(path: readonly string[]): boolean {
    const place = this.#find(path);
    return place !== undefined && isScalar(place.value);
  }

  /**
   * Where a mistake is.
   * @param value what the engine handed over at the mistake's path; another value than the file's (from `--config`
   *   or the environment) has no place in the file
   */
  placeOf({ path, at }: Mistake, value: unknown): Range | undefined {
    if (at === "section") {
      const section = path.slice(0, -1);
      const place = section.length === 0 ? undefined : this.#find(section);
      return place && rangeOf(place.key);
    }
    const place = this.#find(path);
    if (!place && value === undefined && path.length > 1) {
      return this.placeOf({ path: path.slice(0, -1), text: "", at: "key" }, {});
    }
    if (!place || !this.#stands(place.value, value)) return undefined;
    return at === "value" && isScalar(place.value) && place.value.source !== "" // null is written as nothing
      ? rangeOf(place.value)
      : rangeOf(place.key);
  }

  /** `at FILE:LINE:COLUMN`, the line itself, and `^^^` below the place. Secrets show as three stars. */
  show([from, to]: Range): string {
    const { line, col } = this.#lines.linePos(from);
    const start = from - col + 1;
    const next = this.text.indexOf("\n", start);
    const end = next === -1 ? this.text.length : next;
    const masks = this.#secrets
      .map(([a, b]): Range => [Math.max(a, start), Math.min(b, end)])
      .filter(([a, b]) => a < b)
      .sort(([a], [b]) => a - b);

    /** The text between two offsets of this line, as it may be shown. */
    const shown = (a: number, b: number): string => {
      const mask = masks.find(([maskFrom, maskTo]) => maskFrom < b && maskTo > a);
      if (!mask) return this.text.slice(a, b);
      return `${this.text.slice(a, Math.max(a, mask[0]))}***${mask[1] < b ? shown(mask[1], b) : ""}`;
    };
    const before = shown(start, Math.min(from, end));
    const marked = shown(Math.min(from, end), Math.min(to, end));
    const whole = shown(start, end).trimEnd();
    // Of a long line, what is around the place.
    const cut = Math.max(0, before.length + Math.min(marked.length, 20) - lineWidth);
    const carets = Math.max(1, Math.min(marked.length, cut + lineWidth - before.length));
    return [
      `at ${this.file}:${line}:${col}`,
      `  ${cut > 0 ? "…" : ""}${whole.slice(cut > 0 ? cut + 1 : 0, cut + lineWidth)}${whole.length > cut + lineWidth ? "…" : ""}`,
      `  ${" ".repeat(before.length - cut)}${"^".repeat(carets)}`,
    ].join("\n");
  }

  #short(key: string): string {
    return key.startsWith(`${this.project}:`) ? key.slice(this.project.length + 1) : key;
  }

  #config(): Node | null {
    return pairsOf(this.#document.contents).find(({ key }) => nameOf(key) === "config")?.value ?? null;
  }

  #find(path: readonly string[]): Place | undefined {
    const [first = "", ...rest] = path;
    const top = pairsOf(this.#config()).find(({ key }) => this.#short(nameOf(key)) === first);
    return rest.reduce<Place | undefined>((place, step) => place && this.#step(place, step), top);
  }

  #step(place: Place, step: string): Place | undefined {
    const inner = this.#resolved(place.value);
    if (isSeq(inner)) {
      const item: unknown = inner.items[Number(step)];
      return isNode(item) ? { key: item, value: item } : undefined;
    }
    const own = pairsOf(inner).find(({ key }) => nameOf(key) === step);
    if (own) return own;
    // <<: *other
    return pairsOf(inner)
      .filter(({ key }) => ["<<", "Symbol(<<)"].includes(nameOf(key)))
      .map(({ value }) => value && this.#step({ key: value, value }, step))
      .find((found) => found !== undefined && found !== null);
  }

  #resolved(node: Node | null): Node | null {
    return isAlias(node) ? (node.resolve(this.#document) ?? null) : node;
  }

  /** Whether the node is what the engine made the value from. */
  #stands(given: Node | null, value: unknown): boolean {
    const node = this.#resolved(given);
    if (isMap(node)) return isObject(value) || isEncrypted(node);
    if (isSeq(node)) return Array.isArray(value);
    if (!isScalar(node)) return value === null || value === undefined || value === "";
    const source = node.source ?? "";
    const same = (read: unknown) => plainText(read ?? "") === plainText(value ?? "");
    // The engine reads plain numbers and dates as YAML 1.1 does: 010 is 8.
    return (
      same(node.value) ||
      (node.type === "PLAIN" &&
        (same(parse(source, { version: "1.1" })) || same(`${source} 00:00:00 +0000 UTC`)))
    );
  }
}

function readable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readable);
  if (!isObject(value)) return value;
  if (Object.keys(value).length === 1 && "secure" in value) return "an encrypted value";
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, readable(inner)]));
}
