/** The ladder (harness/ladder.ts) for stacks that differ from the default one in what they are made of. */
import { expect } from "vitest";
import { clientTools, defaultVariant, ladderOf, serverTools, type Variant } from "./harness/ladder";
import { on } from "./harness/lab";
import { defaultStack, testdisk } from "./harness/project";

const loop: Variant = {
  ...defaultVariant,
  name: "a disk behind a loop device",
  stack: {
    ...defaultStack,
    disks: { testdisk: { ...testdisk, file: { ...testdisk.file, loop: true } } },
  },
  checks: {
    "the client's own tools say that all is as the article has it": clientTools,
    "the server serves a loop device over the file": async () => {
      await serverTools("/dev/netdisk/testdisk");
      const listed = await on(
        "server",
        "losetup --list --noheadings --output BACK-FILE,DIO,OFFSET,SIZELIMIT",
      );
      expect(listed.split(/\s+/)).toEqual([defaultVariant.backing, "1", "0", "0"]);
      const session = "for pid in $(pidof nbd-server); do ls -l /proc/$pid/fd; done | grep -c /dev/loop";
      expect(Number(await on("server", session))).toBeGreaterThan(0);
    },
  },
};

for (const variant of [loop]) ladderOf(variant);
