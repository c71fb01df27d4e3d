/** Where the bytes of a file lie on its block device. */
import { sh } from "../../../provider/host/sh";
import { on, type HostName } from "./lab";

/** In sectors of 512 bytes. */
export interface Extent {
  start: number;
  length: number;
}

/** Those that have a place already. */
export async function extentsOf(host: HostName, file: string): Promise<Extent[]> {
  // EXT LOGICAL..LOGICAL: PHYSICAL..PHYSICAL: LENGTH: …
  const said = await on(host, sh`sync ${file} && filefrag -v -b512 ${file}`.text);
  const found = [...said.matchAll(/^ *\d+: +\d+\.\. *\d+: +(\d+)\.\. *\d+: +(\d+):(.*)$/gm)];
  return found
    .filter(([, , , flags]) => !/unknown|delalloc|inline/.test(flags ?? ""))
    .map(([, start, length]) => ({ start: Number(start), length: Number(length) }));
}
