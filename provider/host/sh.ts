/**
 * The only place where text for a remote shell is made. Every hole is quoted, numbers included; a list
 * becomes several words; a Command is inserted as it is. A Secret cannot be a hole: it would be readable in
 * the process list of the host. It goes to stdin.
 */
import { Secret } from "../../schema/secret";

/** A line for POSIX sh whose user values are quoted. Made only by `sh` and `join`. */
export class Command {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

export type Hole = string | number | Command | readonly (string | number)[];

const plainWord = /^[A-Za-z0-9_@%+=:,./-]+$/;
const assignment = /^[A-Za-z_][A-Za-z0-9_]*=/;

export function quote(word: string): string {
  if (word.includes("\0")) throw new Error("a shell word cannot hold a NUL byte");
  // `a=b` at the start of a command would be an assignment.
  return plainWord.test(word) && !assignment.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function fill(hole: unknown): string {
  if (hole instanceof Command) return hole.text;
  if (hole instanceof Secret) throw new Error("a secret cannot be part of a command line; pass it on stdin");
  if (typeof hole === "string") return quote(hole);
  if (typeof hole === "number" && Number.isFinite(hole)) return quote(String(hole));
  if (Array.isArray(hole)) return hole.map((word: unknown) => fill(word)).join(" ");
  throw new Error(`${String(hole)} (${typeof hole}) cannot be part of a command line`);
}

/** sh`mkdir -p ${path}` */
export function sh(strings: TemplateStringsArray, ...holes: Hole[]): Command {
  // Such as \1, which JavaScript has no value for; \\1 is what the shell is to get.
  if (strings.includes(undefined as never)) throw new Error("a shell text holds an escape that is none");
  return new Command(
    strings.reduce((text, piece, i) => text + piece + (i < holes.length ? fill(holes[i]) : ""), ""),
  );
}

/** Commands one after the other; the first that fails ends the chain. */
export function join(...commands: Command[]): Command {
  return new Command(commands.map((command) => command.text).join(" && "));
}
