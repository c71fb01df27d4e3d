/** What is said about a wrong stack configuration: all mistakes at once, in the order of the file. Pure. */
import { formatPath, valueAt, type Mistake } from "./mistake";
import { isSecretPath, secretPaths } from "./stack";
import { stackMistakes } from "./stackMistakes";
import type { StackText } from "./stackText";
import { stackWarnings } from "./stackWarnings";
import type { Range } from "./yamlNodes";

export interface StackConfiguration {
  stack: string;
  /** The top-level keys with their values, as the engine handed them over, decrypted. */
  values: Record<string, unknown>;
  /** Whether something in a top-level key's value is encrypted. */
  isEncrypted: (key: string) => boolean;
  /** Whether the value at a path is not known, so that nothing can be said about it. Default: all are known. */
  isUnknown?: (path: string[]) => boolean;
}

/** Secrets that lie in the stack file for everybody to read. */
function unencrypted({ values, isEncrypted }: StackConfiguration, text: StackText | undefined): Mistake[] {
  return secretPaths(values)
    .filter((path) => !isEncrypted(path[0] ?? "") || text?.isPlain(path))
    .map((path): Mistake => {
      const cure = `Remove it and run \`pulumi config set --secret --path ${formatPath(path)}\`.`;
      return { path, text: `is not encrypted. ${cure}`, at: "value" };
    });
}

/** The paths of what a value holds; its own where it is a value itself. */
const leavesOf = (value: unknown, path: string[]): string[][] =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, key]))
    : [path];

/**
 * What Pulumi was told to encrypt and netdisk keeps secret nowhere: it would be plain in the state and on the hosts. Where
 * the value is not the file's, nobody says which parts of a section are encrypted: then one without any secret is refused.
 */
function encryptedInVain(
  { values, isEncrypted }: StackConfiguration,
  text: StackText | undefined,
): Mistake[] {
  const written = text?.values() ?? {};
  const elsewhere = Object.keys(values).filter(
    (key) => isEncrypted(key) && !(key in written) && secretPaths({ [key]: values[key] }).length === 0,
  );
  return [...(text?.encryptedPaths() ?? []), ...elsewhere.map((key) => [key])]
    .filter((path) => leavesOf(valueAt(values, path), path).some((leaf) => !isSecretPath(leaf)))
    .map((path): Mistake => {
      const key = formatPath(path);
      const cure =
        typeof valueAt(values, path) === "object"
          ? `Write it in plain, and only its secrets by \`pulumi config set --secret --path ${key}.KEY\` (docs/security.md).`
          : `If it may be seen, run \`pulumi config set --plaintext --path ${key}\`; a password or token belongs elsewhere (docs/security.md).`;
      return {
        path,
        text: `is encrypted, but would be plain in the state and on the hosts. ${cure}`,
        at: "key",
      };
    });
}

interface Placed {
  mistake: Mistake;
  place: Range | undefined;
}

/** The whole message, or undefined where nothing was found. */
function message(stack: string, what: string, placed: Placed[], text?: StackText): string | undefined {
  if (placed.length === 0) return undefined;
  // What has no place first: a section that is missing altogether. Of one place, as found.
  const start = (place: Range | undefined) => place?.[0] ?? -1;
  const lines = [...placed]
    .sort((a, b) => start(a.place) - start(b.place))
    .flatMap(({ mistake, place }) => [
      `  ${formatPath(mistake.path)}: ${mistake.text}`,
      ...(text && place
        ? text
            .show(place)
            .split("\n")
            .map((line) => `    ${line}`)
        : []),
    ]);
  const count = placed.length === 1 ? `1 ${what}` : `${placed.length} ${what}s`;
  return [`the configuration of stack ${stack} has ${count}:`, ...lines].join("\n");
}

const placedIn =
  (values: Record<string, unknown>, text: StackText | undefined) =>
  (mistake: Mistake): Placed => ({
    mistake,
    place: text?.placeOf(mistake, valueAt(values, mistake.path)),
  });

/**
 * The whole message, or undefined where nothing is wrong.
 * @param text the stack's file, where there is one
 */
export function stackReport(configuration: StackConfiguration, text?: StackText): string | undefined {
  const { stack, values, isEncrypted } = configuration;
  // A value that is encrypted, or comes encrypted from elsewhere than the file, is not repeated.
  const mayShow = ([section = "", ...rest]: string[]) =>
    !isEncrypted(section) || text?.isPlain([section, ...rest]) === true;
  const found = [...stackMistakes(values, mayShow), ...unencrypted(configuration, text)].filter(
    ({ path }) => !configuration.isUnknown?.(path),
  );
  found.push(...encryptedInVain(configuration, text));
  const placed = found.map(placedIn(values, text));
  for (const { place, ...mistake } of text?.silentMistakes() ?? []) placed.push({ mistake, place });
  return message(stack, "mistake", placed, text);
}

/** The same of what is not wrong and yet a warning's worth. */
export function stackWarningReport(
  { stack, values }: Pick<StackConfiguration, "stack" | "values">,
  text?: StackText,
): string | undefined {
  return message(stack, "warning", stackWarnings(values).map(placedIn(values, text)), text);
}
