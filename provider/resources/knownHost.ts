/** The host keys that one disk's way to the server is pinned to (schema/client.ts): a known_hosts file of its own. */
import { dirname } from "node:path";
import { knownHost as definition } from "../../schema/client";
import type { Inputs } from "../../schema/define";
import { knownHostsFile } from "../../schema/paths";
import { ask } from "../fact";
import { knownHosts } from "../facts/knownHosts";
import { knownHostsName } from "../host/hostKeys";
import { sh } from "../host/sh";
import { resourceType } from "../resource";
import { splitEndpoint } from "./endpoint";

/** One line for each host, the server's first. */
function textOf({ endpoint = "", publicKey = "", jumps = {} }: Partial<Inputs<typeof definition>>): string {
  const hosts: [string, string][] = [[endpoint, publicKey], ...Object.entries(jumps).sort()];
  return hosts
    .map(([at, key]) => {
      const { host, port } = splitEndpoint(at);
      return `${knownHostsName(host, port)} ${key}\n`;
    })
    .join("");
}

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
    const more = file.hosts.filter((it) => it !== line);
    const jumps = Object.fromEntries(more.map((it) => [it.endpoint, it.publicKey]));
    // Two keys for one host: the second would let somebody else in.
    const twice = new Set(file.hosts.map((it) => it.endpoint)).size < file.hosts.length;
    return { is: "present", state: { name, ...line, jumps, onlyOurs: file.others === 0 && !twice, path } };
  },

  plan(observed, inputs) {
    const content = textOf(inputs);
    if (observed.is === "present" && observed.state.onlyOurs && textOf(observed.state) === content) return [];
    const { name } = inputs;
    const path = knownHostsFile(name);
    return [
      { do: "run", title: `make ${dirname(path)}`, command: sh`install -d -m 0700 ${dirname(path)}` },
      {
        do: "write",
        title: "pin the server's host key",
        path,
        content,
        mode: 0o644,
      },
    ];
  },

  planRemoval(observed, { name }) {
    if (observed.is === "absent") return [];
    return [{ do: "run", title: "unpin the server's host key", command: sh`rm -f ${knownHostsFile(name)}` }];
  },
});
