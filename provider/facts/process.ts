/** Processes, as /proc shows them. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** The words a process was started with; undefined when there is no such process, or none in user space. */
export const commandLine: Fact<[pid: number], string[] | undefined> = {
  name: "process.commandLine",
  command: (pid) =>
    sh`if test -d /proc/${pid}; then tr '\\000' '\\n' </proc/${pid}/cmdline; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    if (exitCode !== 0) throw new Error("the command line could not be read");
    return stdout === "" ? undefined : stdout.replace(/\n$/, "").split("\n");
  },
};
