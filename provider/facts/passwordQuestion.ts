/** Whether somebody on the host waits for a passphrase: systemd's password agents find the questions in this directory. */
import type { Fact } from "../fact";
import { type Command, sh } from "../host/sh";

const directory = "/run/systemd/ask-password";

/** Prints the files of the questions with this id. One that is answered at this moment counts as none. */
export const questions = (id: string): Command =>
  sh`if test -d ${directory}; then find ${directory} -name 'ask.*' -exec grep -qsxF ${`Id=${id}`} {} \\; -print; fi`;

export const passwordQuestion: Fact<[id: string], boolean> = {
  name: "passwordQuestion.waits",
  command: questions,
  parse: ({ exitCode, stdout }) => {
    if (exitCode !== 0) throw new Error("find failed");
    if (!/^(\/\S+\n)*$/.test(stdout)) throw new Error("unexpected answer of find");
    return stdout !== "";
  },
};
