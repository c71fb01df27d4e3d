/** The SSH key of one disk's session or tunnel (schema/client.ts). Made on the client; only the public half is ever read. */
import { basename, dirname } from "node:path";
import { tunnelKey as definition } from "../../schema/client";
import { tunnelKeyFile } from "../../schema/paths";
import { ask } from "../fact";
import { sshPublicKey } from "../facts/sshKeygen";
import { statPath } from "../facts/stat";
import { type Command, sh } from "../host/sh";
import { resourceType } from "../resource";

/** Whole or not at all, and never over a key that is there: `ln` does not overwrite. */
function makeKey(path: string, comment: string): Command {
  const made = `${dirname(path)}/.${basename(path)}.new`;
  return sh`umask 077; install -d -m 0700 ${dirname(path)} && rm -f ${made} ${`${made}.pub`} && ssh-keygen -q -t ed25519 -N '' -C ${comment} -f ${made} && sync ${made} && ln -T ${made} ${path} && rm ${made} ${`${made}.pub`} && sync ${dirname(path)}`;
}

export const tunnelKey = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ path: tunnelKeyFile(name) }),

  async observe(host, { name }) {
    const path = tunnelKeyFile(name);
    const file = await ask(host, statPath, path);
    if (!file) return { is: "absent" };
    const publicKey = await ask(host, sshPublicKey, path);
    if (publicKey === undefined) return { is: "absent" };
    const isPrivate = file.kind === "regular file" && file.mode === "600" && file.owner === "root:root";
    return { is: "present", state: { name, private: isPrivate, publicKey, path } };
  },

  plan(observed, { name }) {
    const path = tunnelKeyFile(name);
    if (observed.is === "absent") {
      return [{ do: "run", title: "ssh-keygen -t ed25519", command: makeKey(path, `netdisk@${name}`) }];
    }
    if (observed.state.private) return [];
    return [
      {
        do: "run",
        title: "make the disk's SSH key private",
        command: sh`chown root:root ${path} && chmod 0600 ${path}`,
      },
    ];
  },

  // Configuration, not data: the next `up` makes a new one and authorizes it.
  planRemoval(observed, { name }) {
    if (observed.is === "absent") return [];
    return [{ do: "run", title: "remove the disk's SSH key", command: sh`rm -f ${tunnelKeyFile(name)}` }];
  },
});
