/** The kernel module nbd (schema/client.ts): loaded now and at boot, without partition scanning. */
import { kernelModule as definition } from "../../schema/client";
import type { Inputs } from "../../schema/define";
import { modprobeFile, modulesLoadFile } from "../../schema/paths";
import { kernelModule as moduleFact } from "../facts/kmod";
import { ask } from "../fact";
import { sh } from "../host/sh";
import { type Step, type WriteStep, resourceType, writeStep } from "../resource";
import { render } from "../template";

const filesOf = ({ name, maxPart }: Inputs<typeof definition>): WriteStep[] => [
  writeStep(modulesLoadFile, render("modules-load.conf", { name })),
  writeStep(modprobeFile, render("modprobe.conf", { name, maxPart })),
];

/** The kernel counts partitions in whole bits of the minor number: 8 becomes 15. */
const rounded = (maxPart: number): number => 2 ** Math.ceil(Math.log2(maxPart + 1)) - 1;

export const kernelModule = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  satisfied: (property, state, inputs) =>
    property === "maxPart" ? state.maxPart === rounded(inputs.maxPart) : undefined,

  async observe(host, inputs) {
    const files = filesOf(inputs);
    const [module, ...found] = await Promise.all([
      ask(host, moduleFact, inputs.name, "max_part"),
      ...files.map(({ path }) => host.readFile(path)),
    ]);
    const remains = found.some((content) => content !== undefined);
    if (!module && !remains) return { is: "absent" };
    return {
      is: "present",
      ...(remains && { remains }),
      state: {
        name: inputs.name,
        // A module that is not loaded has no value to compare; that it is not loaded is what differs then.
        maxPart: module ? Number(module.parameter) : rounded(inputs.maxPart),
        loaded: module !== undefined,
        atBoot: files.every(({ content }, i) => found[i]?.toString("utf8") === content),
      },
    };
  },

  plan(observed, inputs) {
    const { name, maxPart } = inputs;
    const state = observed.is === "present" ? observed.state : { loaded: false, atBoot: false, maxPart };
    const steps: Step[] = state.atBoot ? [] : filesOf(inputs);
    if (!state.loaded)
      return [...steps, { do: "run", title: `modprobe ${name}`, command: sh`modprobe ${name}` }];
    if (state.maxPart === rounded(maxPart)) return steps;
    // The parameter is read when the module is loaded. A module in use cannot be unloaded, and says so.
    return [
      ...steps,
      {
        do: "run",
        title: `load ${name} again with max_part=${maxPart}`,
        command: sh`modprobe -r ${name} && modprobe ${name}`,
      },
    ];
  },

  // Whoever uses the module now keeps it; it is gone with the next boot.
  planRemoval(observed) {
    if (!observed.remains) return [];
    return [
      {
        do: "run",
        title: "do not load nbd at boot any more",
        command: sh`rm -f ${modulesLoadFile} ${modprobeFile}`,
      },
    ];
  },
});
