/** What is planned for an open mapping that differs from the wish in one condition. */
import { mapping } from "../../provider/resources/mapping";
import type { Step } from "../../provider/resource";
import type { Secret } from "../../schema/secret";

export const mappingPlan = (
  differs: Partial<Record<"resumed" | "workqueuesBypassed", false>>,
  keyPassphrase?: Secret,
): Step[] =>
  mapping.plan(
    {
      is: "present",
      state: {
        ...{ installed: true, active: true, whole: true, resumed: true },
        ...{ workqueuesBypassed: true, discardsWithheld: true },
        ...differs,
      } as never,
    },
    {
      ...{ name: "t1", device: "/dev/netdisk/t1", header: "/var/lib/netdisk/headers/t1.luks" },
      ...{ keyFile: "/etc/netdisk/keys/t1.key", keyPassphrase, keyReading: "whole", unlock: true },
      ...{ luksUuid: "5796cca7-6149-42b5-ab40-e765711a3551", cipher: "aes-xts-plain64" },
    },
    { name: "t1" },
  );
