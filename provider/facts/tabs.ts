/** Lines of fstab(5) and crypttab(5), by which a host would bring a disk up by itself. */
import { mappedDevice } from "../../schema/paths";

const tagged = (tag: "UUID" | "LABEL", value: string): string[] => [
  `${tag}=${value}`,
  `/dev/disk/by-${tag.toLowerCase()}/${value}`,
];

/** The lines with one of `values` in this column, counted from 0. */
function linesWith(text: string, column: number, values: readonly string[]): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => {
      const word = line.split(/\s+/)[column]?.replaceAll('"', "");
      return !line.startsWith("#") && word !== undefined && values.includes(word);
    });
}

/** What a file system is called: the mappings that hold it, its UUIDs and labels. */
export interface Called {
  mappings: readonly string[];
  uuids?: readonly string[];
  labels?: readonly string[];
}

/** The lines of fstab that mount it. */
export const fstabLines = (text: string, { mappings, uuids = [], labels = [] }: Called): string[] =>
  linesWith(text, 0, [
    ...mappings.map(mappedDevice),
    ...uuids.flatMap((uuid) => tagged("UUID", uuid)),
    ...labels.flatMap((label) => tagged("LABEL", label)),
  ]);

/** The lines of crypttab that open the LUKS container, or something else by one of these names. */
export const crypttabLines = (text: string, names: readonly string[], luksUuid: string): string[] => [
  ...new Set([...linesWith(text, 0, names), ...linesWith(text, 1, tagged("UUID", luksUuid))]),
];
