/**
 * The text around a command: what makes it run as root in a known environment, what ends it, and the two
 * commands that read and write files. Pure; ssh and local send the very same text.
 */
import { lockDir } from "../../schema/paths";
import { quote, sh, type Command } from "./sh";

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Marks the processes of one exec in their environment, so that they can be found and ended later. */
const mark = "NETDISK_RUN";

/**
 * The first line of both outputs, once root's shell runs. What comes before it is not the command's: a greeting of
 * the login shell, a lecture of sudo. Without it nothing was run.
 */
export const beginNotice = (run: string): string => `netdisk: begin ${run}\n`;

/** Said on stderr once all locks are held; not part of the command's own output. */
export const lockNotice = (locks: readonly string[]): string => `netdisk: locked ${locks.join(" ")}\n`;

export const lockFile = (lock: string): string => {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/.test(lock)) throw new Error(`"${lock}" is no name for a lock`);
  return `${lockDir}/${lock}`;
};

/**
 * Descriptors 9, 8, … are inherited by all that the command starts, so the locks last until the last of them
 * ends, whatever becomes of us. The notice starts the clock of the time limit; and when we died while the
 * command waited for its turn, writing it fails (SIGPIPE) and the command does not run without anybody to
 * hear of it. The directory is root's alone, whoever made it: who can open a lock can hold it.
 */
function takeLocks(locks: readonly string[]): string {
  if (locks.length === 0) return "";
  if (locks.length > 6) throw new Error("a command takes at most 6 locks");
  const take = locks.map((lock, i) => `exec ${9 - i}>>${quote(lockFile(lock))} && flock ${9 - i}`);
  return `install -d -m 700 ${lockDir} && ${take.join(" && ")} && echo ${quote(lockNotice(locks).trim())} >&2 || exit 255\n`;
}

/** How a login becomes root. */
export type Elevation = "root" | "sudo" | "sudo with password";

/**
 * sudo reads its password as the first line of standard input, if it asks at all: with NOPASSWD it does not. So a
 * line with the run follows it, and root's shell reads up to that; `read` takes no byte more than the line.
 */
export const passwordInput = (password: string, run: string): string => `${password}\n${run}\n`;
const dropPassword = (run: string): string =>
  `while IFS= read -r netdisk && [ "$netdisk" != ${run} ]; do :; done\n`;

const elevations: Record<Elevation, string> = {
  root: "",
  sudo: "sudo -n -- ",
  "sudo with password": "sudo -S -p '' -- ",
};

/** From the login to a program that runs as root, in a known environment, with the mark of `run`. */
const enter = (run: string, as: Elevation): string =>
  `exec ${elevations[as]}env LC_ALL=C PATH=${path} ${mark}=${run}`;

/** The one line that a login shell or execve gets. `run` is unique to this exec. */
export function wrap(
  command: Command,
  options: { run: string; as: Elevation; locks?: readonly string[] },
): string {
  const { run, as, locks = [] } = options;
  const script = [
    as === "sudo with password" ? dropPassword(run) : "",
    begin(run),
    takeLocks(locks),
    command.text,
  ].join("");
  return `${enter(run, as)} sh -c ${quote(script)}`;
}

const begin = (run: string): string => {
  const notice = beginNotice(run).trim();
  return `umask 022\necho '${notice}'; echo '${notice}' >&2\n`;
};

/** The line that a login shell gets to become one that runs commands, as they come on its standard input. */
export const keptShell = (run: string, as: Elevation): string =>
  as === "sudo with password"
    ? `${enter(run, as)} sh -c ${quote(`${dropPassword(run)}exec sh`)}`
    : `${enter(run, as)} sh`;

/** Followed by the exit status; the last line of both outputs of a command in a kept shell. */
export const endNotice = (run: string): string => `netdisk: end ${run} `;

/**
 * What a kept shell reads for one command: in a process of its own, with the shell's mark. `eval`, because a line that
 * sh does not understand must end the command and not the shell.
 */
export const keptCommand = (command: Command, run: string): string =>
  `(${begin(run)}eval ${quote(command.text)}) </dev/null\n` +
  `set -- $?; echo "${endNotice(run)}$1"; echo "${endNotice(run)}$1" >&2\n`;

/** Whether sudo takes the password: nothing follows it that a second try could take for one. */
export const tryPassword = "exec sudo -k -S -p '' -- true";

/**
 * Ends everything that an exec started: SIGTERM to the process groups of all processes that carry its mark
 * (so that one which emptied its environment is found by its group), SIGKILL after five seconds. Prints the
 * process ids that survived even that.
 */
export function end(run: string): Command {
  return sh`marked() { grep -lsz ${`^${mark}=${run}$`} /proc/[0-9]*/environ | cut -d/ -f3; }
groups() {
  for pid in $(marked); do
    { read -r stat </proc/$pid/stat; } 2>/dev/null || continue
    set -- \${stat##*) }
    if [ "$3" -gt 1 ]; then echo "$3"; fi
  done | sort -u | tr '\n' ' '
}
living() {
  for file in /proc/[0-9]*/stat; do
    { read -r stat <$file; } 2>/dev/null || continue
    set -- \${stat##*) }
    case " $targets" in *" $3 "*) if [ "$1" != Z ]; then echo "\${stat%% *}"; fi ;; esac
  done
}
signal() { for group in $targets; do kill -s $1 -- -$group 2>/dev/null; done; }
await() {
  until=$(($(date +%s) + $1))
  while [ $(date +%s) -lt $until ]; do
    if [ -z "$(living)" ]; then exit 0; fi
    sleep 0.1
  done
}
targets=$(groups)
signal TERM
await 5
targets="$targets$(groups)"
signal KILL
await 3
living`;
}

/** Absence is what the kernel said to `cat`, in the C locale; see `absentByCat`. */
export function readCommand(file: string): Command {
  return sh`if test -L ${file} && ! test -e ${file}; then echo 'a symbolic link to nothing' >&2; exit 45; fi
exec cat -- ${file}`;
}

/** ENOENT and ENOTDIR only; permission, loops and I/O errors are not absence. */
export function absentByCat(result: {
  exitCode: number;
  stdout: { length: number };
  stderr: string;
}): boolean {
  return (
    result.exitCode === 1 &&
    result.stdout.length === 0 &&
    /^cat: [^]*: (No such file or directory|Not a directory)\n$/.test(result.stderr)
  );
}

/**
 * After `cat` has written its input to `file` (as the shell has it): ends the command where that is not all of it. A lost
 * connection looks like the end of the input.
 */
export const allArrived = (file: Command, size: number): Command => sh`size=$(stat -c %s -- ${file})
if test "$size" != ${size}; then echo "only $size of "${size}" bytes arrived" >&2; exit 74; fi`;

/**
 * Content comes on stdin. Owner and mode are right before the first byte; both file and directory are flushed, so that
 * after a power cut there is the old file or the new one.
 */
export function writeCommand(file: string, size: number, options: { mode: number; owner: string }): Command {
  const directory = file.slice(0, file.lastIndexOf("/")) || "/";
  return sh`set -e
test -d ${directory} || mkdir -p -m 755 -- ${directory}
new=$(mktemp -- ${`${directory === "/" ? "" : directory}/.netdisk.XXXXXX`})
trap 'rm -f -- "$new"' EXIT
trap 'exit 143' TERM HUP INT
chown -- ${options.owner} "$new"
chmod -- ${options.mode.toString(8).padStart(4, "0")} "$new"
cat >"$new"
${allArrived(sh`"$new"`, size)}
sync -- "$new"
mv -fT -- "$new" ${file}
sync -- ${directory}
trap - EXIT`;
}

/** Waits without taking part: others that wait are not held up. A lock that was never taken is no file. */
export function waitCommand(lock: string): Command {
  const file = lockFile(lock);
  return sh`! test -e ${file} || flock -s ${file} true`;
}
