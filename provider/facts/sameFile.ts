/** Which of several paths lead to one file or device: by symbolic links, or as other names of it. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Those of `others` that lead to the file at `path`; none where there is no file yet. */
export const sameFile: Fact<[path: string, others: readonly string[]], string[]> = {
  name: "sameFile.of",
  // By their numbers: a path may hold anything.
  command: (path, others) =>
    sh`number=0
for other in ${[...others]}; do
  if [ "$other" -ef ${path} ]; then echo $number; fi
  number=$((number + 1))
done`,
  parse: ({ exitCode, stdout }, _path, others) => {
    if (exitCode !== 0) throw new Error("the files could not be compared");
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const other = others[Number(line)];
        if (other === undefined) throw new Error(`unexpected line: ${line}`);
        return other;
      });
  },
};
