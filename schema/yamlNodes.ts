/** What is needed of the yaml package's nodes: pairs, names, ranges. */
import { isMap, isNode, isPair, isScalar, type Node, type Pair, type YAMLMap } from "yaml";

/** Offsets into the text: from the first character to behind the last. */
export type Range = [from: number, to: number];

export interface Place {
  key: Node;
  value: Node | null;
}

/** `{ secure: … }`: how Pulumi writes an encrypted value. */
export const isEncrypted = (map: YAMLMap): boolean => map.items.length === 1 && map.has("secure");

export const pairsOf = (node: unknown): Place[] =>
  isMap(node)
    ? node.items
        .filter((pair): pair is Pair<Node, Node | null> => isPair(pair) && isNode(pair.key))
        .map(({ key, value }) => ({ key, value }))
    : [];

/** A key as text. */
export const nameOf = (key: Node): string => (isScalar(key) ? String(key.value) : "");

export const rangeOf = (node: Node): Range => {
  const [from = 0, to = 0] = node.range ?? [];
  return [from, to];
};
