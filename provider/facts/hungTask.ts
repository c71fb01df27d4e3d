/** What the kernel does about a task that waits for long, as each of a disk does whose server is out of reach. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

/** Seconds of waiting after which the kernel panics; undefined where it does not, or has no check of hung tasks. */
export const panicsAfter: Fact<[], number | undefined> = {
  name: "hungTask.panicsAfter",
  command: () =>
    sh`cd /proc/sys/kernel && if test -e hung_task_panic; then cat hung_task_panic hung_task_timeout_secs; else exit 44; fi`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    const match = /^(\d+)\n(\d+)\n$/.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("unexpected answer of sysctl");
    const [panic = 0, seconds = 0] = match.slice(1).map(Number);
    // A time-out of 0 means no check.
    return panic === 0 || seconds === 0 ? undefined : seconds;
  },
};
