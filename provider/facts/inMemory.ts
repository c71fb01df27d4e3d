/** A directory for what must not lie on a disk. */
import { inMemoryDir } from "../../schema/paths";
import { type Command, sh } from "../host/sh";

/**
 * Makes $t, a directory in memory that only root can enter. For a subshell of its own, at whose end it is removed;
 * also when a signal ends it, on which dash runs no EXIT trap. Fails where it cannot be made.
 */
export const inMemory = (what: string): Command =>
  sh`umask 077; t= && trap '[ -z "$t" ] || rm -rf "$t"' EXIT && trap 'exit 143' TERM HUP INT && t=$(mktemp -d ${inMemoryDir(what)})`;
