/** A host that netdisk cannot work on is told so before anything there is changed. */
import { NetdiskError } from "./errors";
import { ask } from "./fact";
import { platform } from "./facts/osRelease";
import type { Host } from "./host/host";

/** @throws NetdiskError CONFIG for a host that is neither Debian nor Ubuntu, or has no systemd. */
export async function refuseOtherPlatforms(host: Host): Promise<void> {
  const { ids, name, systemd } = await ask(host, platform);
  if (ids.some((id) => id === "debian" || id === "ubuntu") && systemd) return;
  const found = systemd ? name : `${name}, not run by systemd`;
  throw new NetdiskError(
    "CONFIG",
    `${host.label} is ${found}; nothing was changed there, because netdisk works with apt and systemd: use a host with Debian or Ubuntu.`,
  );
}
