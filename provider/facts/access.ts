/** What an account may do, tried as that account with nothing but its own group, as nbd-server runs. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Whether the user can read the file (`r`), or read and write it (`rw`). An account that is missing cannot. */
export const userAccess: Fact<[user: string, path: string, access: "r" | "rw"], boolean> = {
  name: "access.user",
  command: (user, path, access) => {
    const test = access === "r" ? sh`test -r ${path}` : sh`test -r ${path} -a -w ${path}`;
    return sh`group=$(id -g ${user}) || exit 44
setpriv --reuid ${user} --regid "$group" --clear-groups -- ${test}`;
  },
  parse: ({ exitCode, stderr }) => {
    if (exitCode === 0) return true;
    if (exitCode === 44 && /no such user/.test(stderr)) return false;
    if (exitCode === 1 && stderr === "") return false;
    throw new Error("setpriv failed");
  },
};
