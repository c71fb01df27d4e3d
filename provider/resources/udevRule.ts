/** The udev rule that gives a disk's backing its owner on the server: one file per disk (schema/paths.ts). */
import { backingRule } from "../../schema/paths";
import { sh } from "../host/sh";
import { type RunStep, type WriteStep, writeStep } from "../resource";
import { render } from "../template";

/** udev compares with patterns, and quotes nothing within them. */
export const isPlainForUdev = (path: string): boolean => /^[A-Za-z0-9/_.,:;@+= -]+$/.test(path);

export function udevRule(name: string, template: string, values: Record<string, string>): WriteStep {
  const path = backingRule(name);
  const content = render(template, { name, ...values });
  return writeStep(path, content);
}

export const udevReload: RunStep = {
  do: "run",
  title: "udevadm control --reload",
  command: sh`udevadm control --reload`,
};
