/** The server's host key, pinned for one disk's tunnel (schema/client.ts): a known_hosts file with one line. */
import { dirname } from "node:path";
import { knownHost as definition } from "../../schema/client";
import { knownHostsFile } from "../../schema/paths";
import { ask } from "../fact";
import { knownHosts } from "../facts/knownHosts";
import { sh } from "../host/sh";
import { resourceType } from "../resource";
import { knownHostName, splitEndpoint } from "./endpoint";

export const knownHost = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ path: knownHostsFile(name) }),

  async observe(host, { name, endpoint, publicKey }) {
    const path = knownHostsFile(name);
    const file = await ask(host, knownHosts, path);
    if (!file) return { is: "absent" };
    const line =
      file.hosts.find((it) => it.endpoint === endpoint && it.publicKey === publicKey) ?? file.hosts[0];
    const onlyOurs = file.hosts.length === 1 && file.others === 0;
    return { is: "present", state: { name, ...line, onlyOurs, path } };
  },

  plan(observed, { name, endpoint, publicKey }) {
    const { state } = observed.is === "present" ? observed : { state: undefined };
    if (state?.onlyOurs && state.endpoint === endpoint && state.publicKey === publicKey) return [];
    const path = knownHostsFile(name);
    return [
      { do: "run", title: `make ${dirname(path)}`, command: sh`install -d -m 0700 ${dirname(path)}` },
      {
        do: "write",
        title: "pin the server's host key",
        path,
        content: `${knownHostName(splitEndpoint(endpoint))} ${publicKey}\n`,
        mode: 0o644,
      },
    ];
  },

  planRemoval(observed, { name }) {
    if (observed.is === "absent") return [];
    return [{ do: "run", title: "unpin the server's host key", command: sh`rm -f ${knownHostsFile(name)}` }];
  },
});
