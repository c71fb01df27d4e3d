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

/** The value of one variable in the environment that a process was started with; undefined where either is missing. */
export const environmentValue: Fact<[pid: number, variable: string], string | undefined> = {
  name: "process.environmentValue",
  command: (pid, variable) =>
    sh`if test -d /proc/${pid}; then tr '\\000' '\\n' </proc/${pid}/environ | sed -n ${`s/^${variable}=/=/p`}; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44 || (exitCode === 0 && stdout === "")) return undefined;
    const value = /^=([^\n]*)\n$/.exec(stdout)?.[1];
    if (exitCode !== 0 || value === undefined) throw new Error("the environment could not be read");
    return value;
  },
};
