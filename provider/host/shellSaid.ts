/**
 * What the shell that runs a command says of itself on stderr. Its exit status alone does not tell: a pipe or an `if`
 * takes the place of the one for a program that was not found, and where dash cannot go on it ends with 2, with which
 * others say "not there". Pure.
 */

/** dash: `sh: 1: eval: gpg: not found`; bash: `sh: line 1: gpg: command not found`. A script of ours has its own path there. */
const itself = String.raw`^sh: (?:line )?[0-9]+: (?:eval: )?`;
const notFound = new RegExp(`${itself}\\S+: (?:command )?not found$`, "m");
const gaveUp = new RegExp(`${itself}(?:Cannot fork|Pipe call failed|Out of space)$|^sh: fork: .*$`, "m");

/** The line with which the shell says that a program is not there. */
export const programMissing = (stderr: string): string | undefined => notFound.exec(stderr)?.[0];

/** The line with which the shell says that it has no memory, process or descriptor left to start anything. */
export const shellGaveUp = (stderr: string): string | undefined => gaveUp.exec(stderr)?.[0];
