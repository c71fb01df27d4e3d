/** This machine, and this machine through a real sshd, behave alike. */
import { describe } from "vitest";
import type { Host } from "../../provider/host/host";
import { localHost } from "../../provider/host/local";
import { openHost } from "../../provider/host/open";
import { behavesAsHost } from "./hostBehaviour";
import { startRelay, type Relay } from "./relay";
import { sshdMissing, startSshd, type Sshd } from "./sshd";

const missing = sshdMissing();
if (missing !== undefined) console.warn(`skipped: SSH to a real sshd: ${missing}`);

describe.skipIf(process.getuid?.() !== 0)("local", () => {
  behavesAsHost(
    false,
    async () => ({ host: localHost(), die: () => {} }),
    async () => {},
  );
});

describe.skipIf(missing !== undefined)("ssh", () => {
  let sshd: Sshd;
  let relay: Relay;
  let host: Host;
  behavesAsHost(
    true,
    async () => {
      sshd = await startSshd();
      relay = await startRelay(sshd.port);
      host = openHost({ ...sshd.connection, port: relay.port }, { bootTimeoutMs: 0 });
      return { host, die: () => relay.cut() };
    },
    async () => {
      await host.close();
      relay.close();
      sshd.close();
    },
  );
});
