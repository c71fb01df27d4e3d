/** What is mounted where, from the kernel's own list. */
import type { Fact } from "../fact";
import type { ExecResult } from "../host/host";
import { sh } from "../host/sh";

export interface MountEntry {
  target: string;
  source: string;
  /** MAJOR:MINOR of the device; what `source` names may be another device by now. */
  number: string;
  fstype: string;
  /** The options in effect, as the kernel spells them. */
  options: string[];
}

const columns = "TARGET,SOURCE,MAJ:MIN,FSTYPE,OPTIONS";

function parseMounts({ exitCode, stdout, stderr }: ExecResult): MountEntry[] {
  // findmnt has one status for "nothing found" and for errors; the latter say something.
  if (exitCode === 1 && stdout === "" && stderr === "") return [];
  if (exitCode !== 0) throw new Error("findmnt failed");
  const answer = JSON.parse(stdout) as { filesystems?: Record<string, unknown>[] };
  if (!Array.isArray(answer.filesystems)) throw new Error("no list `filesystems` in the answer");
  return answer.filesystems.map((entry) => {
    const text = (column: string): string => {
      const value = entry[column];
      if (typeof value !== "string") throw new Error(`an entry without ${column}`);
      return value;
    };
    return {
      target: text("target"),
      source: text("source"),
      number: text("maj:min"),
      fstype: text("fstype"),
      options: text("options").split(","),
    };
  });
}

/** Mounts at a path, the visible one last. Empty: nothing is mounted there. */
export const findmntAt: Fact<[path: string], MountEntry[]> = {
  name: "findmnt.at",
  command: (path) => sh`findmnt --json --list --output ${columns} --mountpoint ${path}`,
  parse: parseMounts,
};

/** All mounts of a device. */
export const findmntOf: Fact<[source: string], MountEntry[]> = {
  name: "findmnt.of",
  command: (source) => sh`findmnt --json --list --output ${columns} --source ${source}`,
  parse: parseMounts,
};
