/** The file that holds the disk. Made once, never cut, never written over, never removed. */
import { emptiedDirectory, lossAt } from "../../schema/emptied";
import { formatSize, sizeBytes } from "../../schema/size";
import { diskTarget, madeDir, madeNote } from "../../schema/paths";
import { backingFile as definition } from "../../schema/server";
import { giveUpDisk, NetdiskError } from "../errors";
import { ask } from "../fact";
import { userAccess } from "../facts/access";
import { usersOfFile } from "../facts/fileUsers";
import { takeover } from "../facts/takeover";
import { statAllocation } from "../facts/allocation";
import { exempted } from "../facts/tmpfiles";
import type { Host } from "../host/host";
import { takeable, takenDown } from "./adoption";
import { type Command, sh } from "../host/sh";
import { type Observation, resourceType, type Step } from "../resource";
import { fileNote, otherKind } from "./madeNote";
import { identityOf, noted, noteMade, refusal, unnoted } from "./whichFile";

const minutes = 60_000;
/** Reserving is instant on most file systems; where zeros must be written, 10 MB/s is slow enough to expect. */
const timeFor = (bytes: number): number => 10 * minutes + bytes / 10_000;

function bytesOf(size: string): number {
  const bytes = sizeBytes(size);
  if (bytes === undefined) throw new NetdiskError("CONFIG", `"${size}" is no size. Write it like "20 GiB".`);
  return bytes;
}

/**
 * Ends the command where `file` (as the shell has it) does not have its blocks: a file system may take the order and
 * reserve nothing, as ZFS does, and `full` would be wished for ever.
 */
const reserved = (
  file: Command,
  path: string,
  bytes: number,
): Command => sh`set -- $(stat -c '%b %B' -- ${file})
if [ "$(($1 * $2))" -lt ${bytes} ]; then
  echo ${`the file system of ${path} reserves no blocks: choose "allocation: sparse", or another path`} >&2
  exit 1
fi`;

/**
 * Only at the end, and never shorter: what is there may be written to at this moment. Where it is killed, the next run
 * goes on. `fallocate -x` as in create. Whether the blocks are reserved is seen by the next look, which plans what is left.
 */
function grow(path: string, bytes: number, allocation: string): Command {
  const fill =
    allocation === "full"
      ? sh`fallocate -o "$now" -l "$more" -- "$path" || fallocate -x -o "$now" -l "$more" -- "$path"`
      : sh`truncate -s ${`>${bytes}`} -- "$path"`;
  return sh`set -e
path=${path}
now=$(stat -c %s -- "$path")
more=$((${bytes} - now))
if [ "$more" -le 0 ]; then exit 0; fi
free=$(df --output=avail -B1 -- "$path" | tail -n 1)
if [ ${allocation} = full ] && [ "$free" -lt "$more" ]; then
  echo "$path lies where $free bytes are free, and needs $more more:" >&2
  df -h -- "$path" >&2
  echo 'Free some space, or choose a smaller size or "allocation: sparse".' >&2
  exit 1
fi
${fill}
sync -- "$path"`;
}

interface Wanted {
  name: string;
  path: string;
  size: string;
  allocation: string;
  owner: string;
  mode: string;
}

const halfOf = (path: string): string => `${path}.netdisk-new`;

/**
 * Made whole under another name, noted, then renamed without replacing anything: a half-made file is never taken for
 * the disk. Where it is not renamed, nothing is left, but after a kill both: file and note. `fallocate -x` is for file
 * systems that cannot reserve: it writes.
 */
function create({ name, path, size, allocation, owner, mode }: Wanted): Command {
  const bytes = bytesOf(size);
  const fill =
    allocation === "full"
      ? sh`fallocate -l ${bytes} -- "$half" || fallocate -x -l ${bytes} -- "$half"
sync -- "$half"
${reserved(sh`"$half"`, path, bytes)}`
      : sh`truncate -s ${bytes} -- "$half"`;
  return sh`set -e
path=${path}
directory=${path.slice(0, path.lastIndexOf("/")) || "/"}
half=${halfOf(path)}
made=${madeNote(name)}
mkdir -p -- "$directory"
rm -f -- "$made" "$half"
free=$(df --output=avail -B1 -- "$directory" | tail -n 1)
if [ ${allocation} = full ] && [ "$free" -lt ${bytes} ]; then
  echo "$directory has $free bytes free, the disk needs "${bytes}":" >&2
  df -h -- "$directory" >&2
  echo 'Free some space, or choose another path, a smaller size or "allocation: sparse".' >&2
  exit 1
fi
(set -C; umask 077; : >"$half")
trap 'if test -e "$half"; then rm -f -- "$made" "$half"; fi' EXIT
trap 'exit 143' TERM HUP INT
${fill}
chown -- ${owner} "$half"
chmod -- ${mode} "$half"
sync -- "$half"
mkdir -p -- ${madeDir}
stat -c '%i %W' -- "$half" >"$made"
sync -- "$made"
mv -nT -- "$half" "$path"
if test -e "$half"; then echo "$path has appeared meanwhile" >&2; exit 1; fi
sync -- "$directory"`;
}

/**
 * Why nothing is made where there is no file, or undefined: one was made before, which the note tells without any state. One
 * that never got its name does not count.
 */
async function unseen(
  host: Host,
  path: string,
  name: string,
  note = "",
): Promise<Observation<never> | undefined> {
  if (!fileNote.test(note)) return undefined;
  const half = await ask(host, statAllocation, halfOf(path));
  if (half && identityOf(note, half.is) === noted) return undefined;
  const at = madeNote(name);
  return {
    is: "foreign",
    what: `there is no ${path}, and ${at} says that the disk "${name}" has a file, inode ${note.split(" ")[0]}`,
    cure:
      "Its file system may not be mounted: mount it, or bring the file back to that path. " +
      `To give the data up, remove the note on the server: \`${sh`rm ${at}`.text}\`.`,
  };
}

/** A file that the server itself may remove, whether it is there or still to be made. */
async function aboutLoss(host: Host, path: string): Promise<{ warning?: string }> {
  const loss = lossAt(path);
  if (loss === undefined) return {};
  // No line of tmpfiles.d keeps what lies in memory.
  if (emptiedDirectory(path) === "/var/tmp" && (await ask(host, exempted, path))) return {};
  return { warning: `${path} ${loss}` };
}

/**
 * Only ever larger: a refresh makes the size of a file that was cut the wish of the next look. Bytes; `last` is what was
 * pinned before.
 */
export function pin(last: string | undefined, found: number, wish: number): number {
  const before = last === undefined ? found : bytesOf(last);
  return found === wish ? Math.max(before, found) : before;
}

export const backingFile = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  // A new server must bring the file: an empty one would take the place of what was on the old one.
  keepWhenGone: true,
  ownFile: ({ path }) => ({
    path,
    cure: "Two clients that write to one disk destroy it: name another file, or take that disk out of its stack first, which leaves its data as it is.",
  }),

  // A sparse file that was written from end to end is none the worse. LoopDevice sees to the loop device.
  satisfied: (property, _state, inputs) =>
    (property === "allocation" && inputs.allocation === "sparse") || property === "loop" ? true : undefined,

  async observe(host, inputs, known) {
    const { name, path } = inputs;
    const [found, made] = await Promise.all([ask(host, statAllocation, path), host.readFile(madeNote(name))]);
    const note = made?.toString();
    const other = otherKind(name, "file", note);
    if (other) return other;
    const before = known.state?.size;
    const pinned = known.state?.pinnedSize;
    if (!found) {
      if (before === undefined && inputs.adopt !== undefined) {
        return {
          is: "foreign",
          what: `there is no ${path}, and the disk "${name}" is to be adopted`,
          cure: "Give the disk the path of the file that holds it.",
        };
      }
      if (before === undefined) {
        return (await unseen(host, path, name, note)) ?? { is: "absent", ...(await aboutLoss(host, path)) };
      }
      // Never "absent" once it was there: a new, empty file would take the place of somebody's data.
      return {
        is: "present",
        state: {
          ...{ name, path, size: before, pinnedSize: pinned ?? before },
          ...{ exists: false, identity: "gone", reachable: false },
        },
      };
    }
    const what = `${path} is a ${found.kind}`;
    if (found.kind !== "regular file") {
      return { is: "foreign", what, cure: "Name a path where nothing is yet, or a file of the wanted size." };
    }
    if (before === undefined && found.size !== bytesOf(inputs.size)) {
      return {
        is: "foreign",
        what: `${what} of ${formatSize(found.size)}, not of ${inputs.size}; whose data it holds is not known`,
        cure: "Name another path, or, if the file is a disk of netdisk, give the disk exactly this size.",
      };
    }
    const identity = identityOf(note, found.is);
    const holds = before === undefined ? await ask(host, takeover, path, madeNote(name)) : "made";
    const refused = inputs.adopt === undefined ? await refusal(host, inputs, { holds, identity }) : undefined;
    if (refused) return { is: "foreign", what: `${what} that holds ${refused.what}`, cure: refused.cure };
    const users = holds === "made" ? [] : await ask(host, usersOfFile, path);
    if (users.length > 0) {
      return {
        is: "foreign",
        what: `${what} that netdisk did not make, and in use: ${users.join(", ")}`,
        cure:
          inputs.adopt === undefined
            ? "End that use to take the file over, or name another path."
            : takenDown,
      };
    }
    // What is blank, or ordered to be adopted, becomes the disk's whatever was noted. With a header it may be an old copy.
    const judged = holds === "blank" || (before === undefined && inputs.adopt !== undefined);
    const adopted = before === undefined ? await takeable(host, inputs) : undefined;
    if (adopted?.is === "foreign") return adopted;
    return {
      is: "present",
      ...(adopted && { note: adopted.note }),
      ...(await aboutLoss(host, path)),
      state: {
        name,
        path,
        size: formatSize(found.size),
        pinnedSize: formatSize(pin(pinned, found.size, bytesOf(inputs.size))),
        allocation: found.allocated >= found.size ? "full" : "sparse",
        owner: found.owner,
        mode: found.mode,
        exists: true,
        identity: judged && identity !== noted ? unnoted : identity,
        reachable: await ask(host, userAccess, inputs.owner, path, "rw"),
      },
    };
  },

  plan(observed, inputs) {
    const { name, path, size, owner, mode } = inputs;
    const bytes = bytesOf(size);
    if (observed.is === "absent") {
      const how = inputs.allocation === "full" ? "fallocate -l" : "truncate -s";
      return [
        {
          do: "run",
          title: `${how} ${size.replace(" ", "")} ${path}`,
          command: create(inputs),
          timeoutMs: timeFor(bytes),
        },
      ];
    }
    const { state } = observed;
    if (!state.exists) {
      throw new NetdiskError(
        "FOREIGN",
        `${path} was there and is gone: its file system is not mounted, or somebody moved or removed the disk's data. ` +
          `Bring the file back (mount, restore); to give the data up, ${giveUpDisk}`,
      );
    }
    const found = bytesOf(state.size ?? "");
    if (found > bytes) {
      throw new NetdiskError(
        "FOREIGN",
        `${path} has ${state.size}, not ${size}; a disk's file is never cut. Keep the size that is there.`,
      );
    }
    if (found < bytesOf(state.pinnedSize)) {
      throw new NetdiskError(
        "FOREIGN",
        `${path} has ${state.size} and had ${state.pinnedSize}: somebody cut it, and the data of its end is not there. ` +
          "Bring the whole file back, from a backup or a snapshot of the server.",
      );
    }
    if (state.identity !== noted && state.identity !== unnoted) {
      throw new NetdiskError(
        "FOREIGN",
        `another file than the disk's lies at ${path}: ${state.identity}. Its file system may not be mounted, and this an old copy below: ` +
          "mount it, then run `pulumi up` again. If this file is meant, because it was brought back or copied on purpose, take the disk " +
          "down on the client first (`systemctl stop " +
          `${diskTarget(name)}\`: what it has in memory is of the other file); then say so on the server: \`${noteMade(name, path).text}\`.`,
      );
    }
    const steps: Step[] = [];
    if (state.identity === unnoted) {
      const title = `note which file ${path} is`;
      steps.push({ do: "run", title, command: sh`${noteMade(name, path)} && sync ${madeNote(name)}` });
    }
    if (found < bytes) {
      steps.push({
        do: "run",
        title: `grow ${path} from ${state.size} to ${size}`,
        command: grow(path, bytes, inputs.allocation),
        timeoutMs: timeFor(bytes),
      });
    }
    if (steps.length === 0 && inputs.allocation === "full" && state.allocation !== "full") {
      steps.push({
        do: "run",
        title: `fallocate -l ${size.replace(" ", "")} ${path}`,
        // Reserves what is still a hole; what was written stays as it is.
        command: sh`fallocate -l ${bytes} -- ${path} || exit 1
${reserved(sh`${path}`, path, bytes)}`,
        timeoutMs: timeFor(bytes),
      });
    }
    if (state.owner !== owner) {
      steps.push({ do: "run", title: `chown ${owner} ${path}`, command: sh`chown -h -- ${owner} ${path}` });
    }
    if (state.mode !== mode) {
      steps.push({ do: "run", title: `chmod ${mode} ${path}`, command: sh`chmod -- ${mode} ${path}` });
    }
    if (steps.length === 0 && !state.reachable) {
      throw new NetdiskError(
        "CONFIG",
        `${path} cannot be read and written by the account ${owner}, although the file's owner and mode are right: ` +
          "a directory above it keeps the account out. " +
          `Let it pass (\`namei -l ${path}\` on the server shows where), or name another path.`,
      );
    }
    return steps;
  },

  planRemoval: () => [],
});
