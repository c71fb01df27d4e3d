/** Whether what a row of drift.yaml is about is in order on its host. */
import { sh } from "../../../provider/host/sh";
import type { Drift } from "./driftTable";
import { on, tryOn } from "./lab";
import type { Ended } from "./run";

/** What each part of a row's proof lacks; undefined where it holds. */
export type Proof = () => Promise<(string | undefined)[]>;

async function ask(host: Drift["on"], command: string): Promise<Ended> {
  const ended = await tryOn(host, command);
  // The status of ssh itself: no answer is no proof of anything.
  if (ended.code === 255) throw new Error(`${host} cannot be asked: ${ended.output}`);
  return ended;
}

/** Kind, owner, mode and content. */
const look = (file: string): string => sh`stat -c '%F, %U:%G, %a' -- ${file} && sha256sum -- ${file}`.text;

/** To be called while all is well: what the row compares must be again what it is now. */
export async function proofOf({ on: host, restores = [], same, check }: Drift): Promise<Proof> {
  const parts: (() => Promise<string | undefined>)[] = [];
  for (const command of [...restores.map(look), ...(same === undefined ? [] : [same])]) {
    const before = await on(host, command);
    parts.push(async () => {
      const { output } = await ask(host, command);
      const now = output.replace(/\n$/, "");
      return now === before ? undefined : `${command}\nsaid\n${before}\nand says now\n${now}`;
    });
  }
  if (check !== undefined) {
    parts.push(async () => {
      const { code, output } = await ask(host, check);
      return code === 0 ? undefined : `${check}: exit status ${code}\n${output}`;
    });
  }
  return () => Promise.all(parts.map((part) => part()));
}

export const lacking = (parts: (string | undefined)[]): string[] =>
  parts.filter((part) => part !== undefined);
