/** Kernel modules, as sysfs shows them. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface KernelModule {
  /** `builtin`: part of the kernel itself. */
  kind: "module" | "builtin";
  /** The value that the loaded module has of the parameter that was asked for. */
  parameter: string;
}

/** A module in use now, with one of its parameters; undefined when it is not loaded. */
export const kernelModule: Fact<[name: string, parameter: string], KernelModule | undefined> = {
  name: "kmod.module",
  command: (name, parameter) =>
    sh`if ! test -d /sys/module/${name}; then exit 44; fi; if test -e /sys/module/${name}/initstate; then cat /sys/module/${name}/initstate; else echo builtin; fi && cat /sys/module/${name}/parameters/${parameter}`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    const match = /^(live|builtin|coming|going)\n(.*)\n$/.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("unexpected answer of sysfs");
    const [, state, parameter = ""] = match;
    if (state === "coming" || state === "going") throw new Error(`the module is ${state} right now`);
    return { kind: state === "live" ? "module" : "builtin", parameter };
  },
};
