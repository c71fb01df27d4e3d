/** What the plugin of a disk's session says of itself, and what it was started with. */
import { attachUnit, sessionScript, sessionUnit } from "../../schema/paths";
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";

/**
 * Whether the disk is attached by this unit, a session's or a tunnel's: what is left of the other transport says nothing of
 * the disk any more. Wants that cannot be asked end the command.
 */
export const attachedBy = (name: string, link: string): Command =>
  sh`{ wants=$(systemctl show -P Wants ${attachUnit(name)}) || exit 1; case " $wants " in *${` ${link} `}*) ;; *) false ;; esac; }`;

/** `up`, `parked`, … (agent/src/status.h), `stopped` where no plugin runs, `unknown` of one that does not answer; undefined for a disk without a session. */
export const sessionState: Fact<[name: string], string | undefined> = {
  name: "session.state",
  command: (name) =>
    sh`if test -x ${sessionScript(name)} && ${attachedBy(name, sessionUnit(name))}; then ${sessionScript(name)} value state; else exit 44; fi`,
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
