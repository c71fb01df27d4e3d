/** Which of the headers that the client keeps a sealed key file opens: whose key it is already. */
import { dirname } from "node:path";
import type { Fact } from "../fact";
import { Command, sh } from "../host/sh";
import { tryKey } from "./handMade";
import { derivationMs, sealedStatus, unseal } from "./plainKey";

/** Paths of the headers beside `own`. Wants the passphrase on stdin. */
export const headersOpened: Fact<[keyFile: string, own: string], string[]> = {
  name: "headersOpened.by",
  timeoutMs: derivationMs,
  command: (keyFile, own) => sh`${unseal(keyFile, true)}for header in ${dirname(own)}/*.luks; do
  if ! [ -e "$header" ] || [ "$header" = ${own} ]; then continue; fi
  opened=$(
${tryKey(new Command('"$header"'), keyFile, true)}
  ) || exit 1
  [ "$opened" = none ] || echo "$header"
done`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === sealedStatus) return [];
    const paths = stdout.split("\n").filter((line) => line !== "");
    if (exitCode !== 0 || paths.some((path) => !/^\/.*\.luks$/.test(path)))
      throw new Error("the key could not be tried");
    return paths;
  },
};
