/** What the plugin of a disk's session says of itself. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** `up`, `parked`, … (agent/src/status.h), `stopped` where no plugin answers; undefined for a disk without a session. */
export const sessionState: Fact<[script: string], string | undefined> = {
  name: "session.state",
  command: (script) => sh`if test -x ${script}; then ${script} value state; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    const state = stdout.trim();
    if (exitCode !== 0 || !/^([a-z]+)?$/.test(state))
      throw new Error("unexpected answer of the session's script");
    return state === "" ? "stopped" : state;
  },
};
