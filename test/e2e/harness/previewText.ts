/** What a preview says of one resource, as a person reads it. `type` is a pattern. */

/**
 * Its lines in the table: ` ~  netdisk:index:Mount testdisk update [diff: ~active]`. That it was read is said of every one,
 * and counts only with an error behind it: a change that is refused before it is planned has no line of its own.
 */
export const rowsOf = (output: string, type: string, name: string): string[] => {
  const own = new RegExp(`^ *[~+-]+ +netdisk:index:${type} +${name} (?!refresh(?!.*; error: ))`);
  return output.split("\n").filter((line) => own.test(line));
};

/** What the provider remarks on it, below `Diagnostics:`. */
export function remarksOn(output: string, type: string, name: string): string[] {
  const own = new RegExp(`^ +netdisk:index:${type} \\(${name}\\):$`);
  let listens = false;
  return output.split("\n").filter((line) => {
    // The next resource's, or the next section.
    if (/^ {0,2}\S/.test(line)) listens = own.test(line);
    return listens;
  });
}

/** Steps in their order, by resource: `TYPE (NAME)`, as the engine heads its messages. */
export type Steps = Map<string, string[]>;

export const addStep = (steps: Steps, resource: string, step: string): void => {
  steps.set(resource, [...(steps.get(resource) ?? []), step]);
};

/** What it says that `up` would run. */
export function foreseenSteps(output: string): Steps {
  const steps: Steps = new Map();
  let resource = "";
  for (const line of output.split("\n")) {
    const head = /^ {2}netdisk:index:(\w+ \(.+\)):$/.exec(line)?.[1];
    if (head !== undefined) resource = head;
    const step = /^ *(?:info: )?would run: (.*)$/.exec(line)?.[1];
    if (step !== undefined) addStep(steps, resource, step);
  }
  return steps;
}
