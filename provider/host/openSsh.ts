/** Runs OpenSSH's own programs on the operator's machine: the only parsers that agree with it in everything. */
import { execFile } from "node:child_process";
import { NetdiskError } from "../errors";

export interface OpenSshResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export class NoOpenSsh extends NetdiskError {
  constructor(program: string) {
    super("CONFIG", `${program} was not found on this machine. Install the OpenSSH client.`);
  }
}

export function openSsh(program: "ssh" | "ssh-keygen", args: string[]): Promise<OpenSshResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { timeout: 10_000 }, (error, stdout, stderr) => {
      if (!error) resolve({ exitCode: 0, stdout, stderr });
      else if (error.code === "ENOENT") reject(new NoOpenSsh(program));
      else if (typeof error.code === "number") resolve({ exitCode: error.code, stdout, stderr });
      else reject(new Error(error.message, { cause: error }));
    });
    child.stdin?.end();
  });
}
