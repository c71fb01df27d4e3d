/** What a run has noted of its steps (NETDISK_TRACE). */
import { readFileSync } from "node:fs";
import type { TraceLine } from "../../../provider/trace";
import { traceFile } from "./project";

export const traceLines = (): TraceLine[] =>
  readFileSync(traceFile, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as TraceLine);

/** `TYPE (NAME)`, as the engine heads its messages. */
export const resourceOf = ({ urn }: TraceLine): string => {
  const [, type, name] = /(\w+)::([^:]+)$/.exec(urn) ?? [];
  return `${type} (${name})`;
};
