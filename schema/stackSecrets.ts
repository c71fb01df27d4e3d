/** Which parts of a stack file's text no message may show. Pure. */
import { isMap, isNode, isScalar, isSeq, visit } from "yaml";
import { holdsLogin } from "./credentials";
import { isSecretPath, placeOf, stackFields } from "./stack";
import { isEncrypted, nameOf, pairsOf, rangeOf, type Place, type Range } from "./yamlNodes";

/** Values of a secret's place that are words of the language. */
const nothingToHide = ["", "none", "null", "~"];

function scalarsIn(node: unknown): Range[] {
  const ranges: Range[] = [];
  visit(isNode(node) ? node : null, {
    Scalar: (_, scalar) => {
      if (scalar.range && !nothingToHide.includes(scalar.source ?? "")) ranges.push(rangeOf(scalar));
    },
  });
  return ranges;
}

/** A secret by its looks, wherever it stands. */
const isOneAnywhere = (text: string): boolean => text.includes("PRIVATE KEY") || holdsLogin(text);

/** The secrets at and below a place, whatever shape somebody gave them. */
export function secretsAt({ value }: Place, path: string[]): Range[] {
  // Cipher text: no secret, but nothing to read either.
  if (isMap(value) && isEncrypted(value)) return scalarsIn(value.get("secure", true));
  const isSection = isMap(value) && (path.length === 1 || placeOf(path).join(".") in stackFields);
  if (isSecretPath(path) && !isSection) return scalarsIn(value);
  if (isMap(value)) return pairsOf(value).flatMap((inner) => secretsAt(inner, [...path, nameOf(inner.key)]));
  if (isSeq(value)) {
    return value.items.filter(isNode).flatMap((item) => secretsAt({ key: item, value: item }, path));
  }
  return isScalar(value) && isOneAnywhere(String(value.value)) ? scalarsIn(value) : [];
}

/** What follows a key that looks like a secret's. */
const afterKey = /[\w"']*(?:pass|phrase|secret|key|token|pwd|secure)[\w"']*[ \t]*:[ \t]*([^,}\r\n]+)/gi;

/** Neither key nor comment nor item: a line of a longer text, such as a private key. */
const looseLine = /^[ \t]*((?![^\n]*:(?:[ \t\r]|$))(?![ \t]*[-#{}[\]])[^\s][^\r\n]*)/gm;

/** Where the text is no YAML, nobody knows which value belongs to which key: what may be a secret counts as one. */
export function guessedSecrets(text: string): Range[] {
  return [afterKey, looseLine].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match): Range => {
      const end = match.index + match[0].length;
      return [end - (match[1]?.length ?? 0), end];
    }),
  );
}
