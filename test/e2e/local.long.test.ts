/** The ladder (harness/ladder.ts) with Pulumi on the client itself: `connection: local`. */
import { readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import { on, sshConfig } from "./harness/lab";
import { defaultVariant, ladderOf } from "./harness/ladder";
import { cache, config, defaultStack, runEngineOn } from "./harness/project";
import { checkout } from "./harness/run";

const address = "10.77.0.2";
const known = readFileSync(join(dirname(sshConfig), "known_hosts"), "utf8");
const hostKey = known
  .split("\n")
  .find((line) => line.includes(`,${address} `))
  ?.split(" ")
  .slice(1)
  .join(" ");
const identityFile = /IdentityFile (\S+)/.exec(readFileSync(sshConfig, "utf8"))?.[1];

/**
 * A guest of user-mode Linux can mount directories of this machine (hostfs): checkout, packages and engine under the
 * paths that they have here, also after a reboot.
 */
async function bringEngine(): Promise<void> {
  const here = [checkout, join(checkout, "node_modules"), cache].map((path) => realpathSync(path));
  const folders = [...new Set(here)].filter((path) => !here.some((other) => path.startsWith(`${other}/`)));
  const node = dirname(process.execPath);
  const lines = [...folders.map((path) => [path, path]), [node, "/opt/node"]].map(
    ([from, to]) => `none ${to} hostfs hostfs=${from} 0 0`,
  );
  await on("client", "cat >>/etc/fstab", `${lines.join("\n")}\n`);
  await on(
    "client",
    `mkdir -p /opt/node ${folders.join(" ")} && mount -a && ln -s /opt/node/node /usr/local/bin/node && node --version`,
  );
  runEngineOn("client");
}

ladderOf({
  ...defaultVariant,
  name: "Pulumi on the client itself",
  stack: {
    ...defaultStack,
    server: { host: address, user: "root", identityFile, hostKey },
    client: { connection: "local", nbd: config.client.nbd },
  },
  prepare: bringEngine,
  checks: {
    ...defaultVariant.checks,
    "nobody logged in to the client for it": async () => {
      // The tests' own commands come from the lab's side of the bridge; from the client itself comes nothing.
      const peers =
        "journalctl -t sshd -t sshd-session --no-pager -o cat | grep -o 'Accepted .* from [0-9.]*' | sort -u";
      expect(await on("client", peers)).not.toMatch(/from (127\.|10\.77\.0\.3)/);
      expect(await on("server", peers)).toMatch(/for root from 10\.77\.0\.3/);
    },
  },
});
