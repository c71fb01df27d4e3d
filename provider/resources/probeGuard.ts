/** A udev rule that keeps everybody's hands off nbd devices (schema/client.ts). */
import { probeGuard as definition } from "../../schema/client";
import { probeGuardFile } from "../../schema/paths";
import { ask } from "../fact";
import { udevProperty } from "../facts/udev";
import { sh } from "../host/sh";
import { resourceType, writeStep } from "../resource";
import { render } from "../template";

/** The rule leaves this mark on each device, so that one can see that udev runs it. */
const mark = "NETDISK_GUARD";

export const probeGuard = resourceType<typeof definition>({
  definition,
  name: () => "nbd",

  async observe(host) {
    const [file, marks] = await Promise.all([
      host.readFile(probeGuardFile),
      ask(host, udevProperty, "nbd", mark),
    ]);
    if (file === undefined) return { is: "absent" };
    const installed = file.toString("utf8") === render("udev.rules", {});
    return {
      is: "present",
      state: { installed, active: Object.values(marks).every((value) => value === "1") },
    };
  },

  plan(observed) {
    if (observed.is === "present" && observed.state.installed && observed.state.active) return [];
    return [
      writeStep(probeGuardFile, render("udev.rules", {})),
      {
        do: "run",
        title: "udevadm control --reload",
        command: sh`udevadm control --reload && udevadm trigger --settle --action=change --subsystem-match=block --sysname-match='nbd*'`,
      },
    ];
  },

  planRemoval(observed) {
    if (observed.is === "absent") return [];
    return [
      {
        do: "run",
        title: `remove ${probeGuardFile}`,
        command: sh`rm -f ${probeGuardFile} && udevadm control --reload`,
      },
    ];
  },
});
