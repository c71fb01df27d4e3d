/** Keeps everybody's hands off nbd devices, by a udev rule, and off the units that hold them (schema/client.ts). */
import { dirname } from "node:path";
import { probeGuard as definition } from "../../schema/client";
import { needrestartFile, probeGuardFile } from "../../schema/paths";
import { ask } from "../fact";
import { udevProperty } from "../facts/udev";
import { sh } from "../host/sh";
import { resourceType, type WriteStep, writeStep } from "../resource";
import { render } from "../template";

/** The rule leaves this mark on each device, so that one can see that udev runs it. */
const mark = "NETDISK_GUARD";

/** needrestart's is written where it is not installed, too: it may come with any package, any day. */
const files = (): WriteStep[] => [
  writeStep(probeGuardFile, render("udev.rules", {})),
  writeStep(needrestartFile, render("needrestart.conf", {})),
];

export const probeGuard = resourceType<typeof definition>({
  definition,
  name: () => "nbd",

  async observe(host) {
    const wished = files();
    const [marks, ...found] = await Promise.all([
      ask(host, udevProperty, "nbd", mark),
      ...wished.map(({ path }) => host.readFile(path)),
    ]);
    if (found.every((file) => file === undefined)) return { is: "absent" };
    const installed = wished.every(({ content }, i) => found[i]?.toString("utf8") === content);
    return {
      is: "present",
      state: { installed, active: Object.values(marks).every((value) => value === "1") },
    };
  },

  plan(observed) {
    if (observed.is === "present" && observed.state.installed && observed.state.active) return [];
    return [
      ...files(),
      {
        do: "run",
        title: "udevadm control --reload",
        // Not `trigger --settle`: another stack may be loading nbd, and of a device that is being added Linux drops what is
        // written to its `uevent` (device_add_disk, block/genhd.c), so that the answer would be waited for without an end.
        // Whether the devices have the mark by now, the next look says; others may keep udev busy for longer.
        command: sh`udevadm control --reload && udevadm trigger --action=change --subsystem-match=block --sysname-match='nbd*' && { udevadm settle --timeout=60 || :; }`,
      },
    ];
  },

  planRemoval(observed) {
    if (observed.is === "absent") return [];
    return [
      {
        do: "run",
        title: `remove ${probeGuardFile}, ${needrestartFile}`,
        command: sh`rm -f ${[probeGuardFile, needrestartFile]} && { test ! -d ${dirname(needrestartFile)} || rmdir --ignore-fail-on-non-empty -p ${dirname(needrestartFile)}; } && udevadm control --reload`,
      },
    ];
  },
});
