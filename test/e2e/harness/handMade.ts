/** A disk made by hand, by the article's commands (recipe/*.sh), on the lab's two hosts. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { keyPassphrase, sizeMiB } from "./article";
import { on, type HostName } from "./lab";
import { config } from "./project";
import { checkout } from "./run";

const [address = ""] = config.server.endpoint.split(":");
const script = (name: string): string => readFileSync(join(checkout, `test/e2e/recipe/${name}.sh`), "utf8");

/** Runs a script as root on a host. */
export async function recipe(host: HostName, text: string, args = "", stdin?: string): Promise<string> {
  await on(host, "cat >/root/recipe.sh", text);
  return on(host, `sh /root/recipe.sh ${args}`, stdin);
}

export const deactivate = (): Promise<string> => recipe("client", script("deactivate"));

/** Debian's program in the place of the one that the recipe builds: the minutes of a build prove nothing here. */
function withoutBuild(client: string): string {
  const build = /^git clone [^]*?^cd \.\.$/m;
  if (!build.test(client)) throw new Error("the recipe of the client builds in another way: adapt this");
  return client.replace(
    build,
    "apt-get download -q nbd-client && dpkg -x nbd-client_*.deb nbd-client\ninstall -D \"$(find nbd-client -path '*/sbin/nbd-client')\" /opt/nbd/sbin/nbd-client",
  );
}

/** The client can log in to the server, as in the article. Returns its public key. */
async function letIn(): Promise<string> {
  const hostKey = await on("server", "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub");
  return on(
    "client",
    `mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 &&
     cat >/root/.ssh/known_hosts && cat /root/.ssh/id_ed25519.pub`,
    `${address} ${hostKey}\n`,
  );
}

/** The article's disk on new hosts, mounted at /mnt/disk; its key is /root/testdisk-key.asc. */
export async function makeByHand(nbd: "built" | "of Debian" = "of Debian"): Promise<void> {
  const key = await letIn();
  await on("client", "apt-get update -q");
  await recipe("server", script("server"), `${sizeMiB} '${key}'`);
  const { repository, ref } = config.client.nbd;
  await recipe(
    "client",
    nbd === "built" ? script("client") : withoutBuild(script("client")),
    `${repository} ${ref} ${address}`,
    `${keyPassphrase}\n`,
  );
}
