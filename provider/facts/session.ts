/** What the plugin of a disk's session says of itself, and what it was started with. */
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

export interface SessionSettings {
  endpoint: string;
  user: string;
  /** Bytes. */
  retain: number;
  build: string;
  jump?: { endpoint: string; user: string; identityFile: string };
}

/** One line; none of the words has a blank in it (schema/session.ts). */
export const settingsText = ({ endpoint, user, retain, build, jump }: SessionSettings): string =>
  [endpoint, user, retain, build, ...(jump ? [jump.endpoint, jump.user, jump.identityFile] : [])].join(" ");

/** Of a text that another version wrote in another form, what it has. */
export function parseSettings(text: string): SessionSettings {
  const [endpoint = "", user = "", retain, build = "", ...way] = text.split(" ");
  const [through, login = "", identityFile = ""] = way;
  const jump = through === undefined ? undefined : { endpoint: through, user: login, identityFile };
  return { endpoint, user, retain: Number(retain), build, ...(jump && { jump }) };
}
