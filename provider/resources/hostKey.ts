/** The server's SSH host key, for the client to pin. Only read. */
import { hostKey as definition } from "../../schema/server";
import { unreadable } from "../errors";
import { ask } from "../fact";
import { sshdConfig, sshdHostKeys } from "../facts/sshd";
import { resourceType } from "../resource";

export const hostKey = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.algorithm,

  async observe(host, { algorithm }) {
    const config = await ask(host, sshdConfig, "root");
    const files = (config.hostkey ?? []).filter((file) => file.startsWith("/"));
    const keys = files.length > 0 ? await ask(host, sshdHostKeys, files) : [];
    const publicKey = keys.find((key) => key.startsWith(`${algorithm} `));
    if (publicKey === undefined) {
      throw unreadable(
        host.label,
        `sshd has no host key of the algorithm ${algorithm}`,
        `it has ${keys.map((key) => key.split(" ")[0]).join(", ") || "none that can be read"}`,
        "Make one on the host (`ssh-keygen -A`, then restart ssh), or choose another algorithm for the HostKey.",
      );
    }
    return { is: "present", state: { algorithm, publicKey } };
  },

  plan: () => [],
  planRemoval: () => [],
});
