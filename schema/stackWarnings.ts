/** What the configuration of a stack may say, and a person should know of before it is carried out. Pure. */
import { lossAt } from "./emptied";
import { isObject, valueAt, type Mistake } from "./mistake";

/** The provider says the same in each run, of programs without a stack file, too (provider/resources/backingFile.ts). */
export function stackWarnings({ disks }: Record<string, unknown>): Mistake[] {
  return Object.entries(isObject(disks) ? disks : {}).flatMap(([key, disk]): Mistake[] => {
    const path = valueAt(disk, ["file", "path"]);
    const loss = typeof path === "string" ? lossAt(path) : undefined;
    return loss === undefined
      ? []
      : [{ path: ["disks", key, "file", "path"], text: `${loss}.`, at: "value" }];
  });
}
