/** What a host answered once, as data, and a host that answers so again. */
import type { Host, ExecResult } from "../../provider/host/host";

/** By command text, and by path; null: no such file. */
export interface Answers {
  commands: Record<string, ExecResult>;
  files: Record<string, string | null>;
}

export interface ObservationCase {
  /** Another case of the same type, which holds all that is not in this one. */
  like?: string;
  inputs?: Record<string, unknown>;
  known?: { name: string; state?: Record<string, unknown> };
  answers: Answers;
  /** What the resource makes of it. */
  observed: {
    is: string;
    state?: Record<string, unknown>;
    note?: string;
    warning?: string;
    what?: string;
    cure?: string;
    by?: string;
    remains?: boolean;
  };
  /** What its secrets are, which print as stars, where the case is about them. */
  revealed?: Record<string, string>;
  /** The properties that a preview then names. */
  differs?: string[];
}

/** Answers what was recorded; anything else was never asked, and is an error. */
export function answeringHost({ commands, files }: Answers): Host {
  const refuse = (what: string) => () => Promise.reject(new Error(`an observation does not ${what}`));
  const exec: Host["exec"] = ({ text }) => {
    const answer = commands[text];
    return answer
      ? Promise.resolve(answer)
      : Promise.reject(new Error(`no answer was recorded for: ${text}\nRecord anew: npm run record`));
  };
  return {
    label: "recorded",
    exec,
    run: async (command, options) => (await exec(command, options)).stdout,
    readFile: (path) => {
      const content = files[path];
      if (content === undefined)
        return Promise.reject(new Error(`no answer was recorded for the file ${path}`));
      return Promise.resolve(content === null ? undefined : Buffer.from(content));
    },
    writeFile: refuse("write"),
    waitForLock: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
