/** /etc/nbd-server/config: the [generic] section and nothing else. */
import { nbdServerConfig, nbdServerConfigBefore } from "../../schema/paths";
import { serverConfig as definition } from "../../schema/server";
import type { State } from "../../schema/define";
import { type KeyFile, keyFileBoolean, parseKeyFile } from "../facts/keyFile";
import { sh } from "../host/sh";
import { resourceType, type Step, writeStep } from "../resource";
import { render } from "../template";
import { digest, load, lookAtNbdServer } from "./nbdServer";
import { ownHeader, isWritten } from "./written";

type Values = Partial<State<typeof definition>>;

/** Key in the file → property of ours and how its text is understood. */
const settings: Record<string, (value: string) => Values> = {
  user: (user) => ({ user }),
  group: (group) => ({ group }),
  listenaddr: (text) => ({ listenAddress: text as Values["listenAddress"] }),
  port: (text) => ({ port: /^[0-9]+$/.test(text) ? Number(text) : undefined }),
  allowlist: (text) => ({ allowList: keyFileBoolean(text) }),
  includedir: (text) => ({ includeDir: text as Values["includeDir"] }),
};

/** What the file holds that is none of our settings, in words. */
function surplus({ groups, strange }: KeyFile): string[] {
  const found = [...strange];
  for (const [i, { name, entries }] of groups.entries()) {
    if (i > 0 || name !== "generic") found.push(`[${name}]`);
    else found.push(...entries.map(([key]) => key).filter((key) => !Object.hasOwn(settings, key)));
  }
  return found;
}

function valuesOf({ groups }: KeyFile): Values {
  const generic = groups[0]?.name === "generic" ? groups[0].entries : [];
  const values: Values = {};
  for (const [key, value] of generic) Object.assign(values, settings[key]?.(value));
  return values;
}

const inputKeys = Object.keys(definition.inputs) as (keyof typeof definition.inputs)[];

export const serverConfig = resourceType<typeof definition>({
  definition,
  name: () => "generic",

  async observe(host, _inputs, known) {
    const [content, { record }] = await Promise.all([host.readFile(nbdServerConfig), lookAtNbdServer(host)]);
    if (content === undefined) return { is: "absent" };
    const text = content.toString();
    const file = parseKeyFile(text);
    const more = surplus(file);
    const written = isWritten(text);
    if (more.length > 0 && !written && known.state?.written === undefined) {
      return {
        is: "foreign",
        what: `${nbdServerConfig} was made by hand: it holds ${more.join(", ")}`,
        cure:
          "netdisk serves from its own configuration only: move exports to files of their own in conf.d, " +
          "take the other settings out, then run `pulumi up` again.",
      };
    }
    const loaded = record === undefined || record.digests[nbdServerConfig] === digest(content);
    return {
      is: "present",
      state: { ...valuesOf(file), onlyOurs: more.length === 0, loaded, written },
    };
  },

  plan(observed, inputs) {
    const state = observed.is === "present" ? observed.state : undefined;
    const steps: Step[] = [];
    if (!state?.onlyOurs || inputKeys.some((key) => state[key] !== inputs[key])) {
      if (state) {
        steps.push({
          do: "run",
          title: `cp ${nbdServerConfig} ${nbdServerConfigBefore}`,
          // Only what was there before us, and only once.
          command: sh`test -e ${nbdServerConfigBefore} || grep -qxF ${ownHeader} ${nbdServerConfig} || cp -p -- ${nbdServerConfig} ${nbdServerConfigBefore}`,
        });
      }
      const content = render("nbd-server.conf", { ...inputs, allowList: String(inputs.allowList) });
      steps.push(writeStep(nbdServerConfig, content));
    }
    if (steps.length > 0 || !state?.loaded) steps.push(load("try-restart"));
    return steps;
  },

  planRemoval(observed) {
    if (observed.is === "absent" || !observed.state.written) return [];
    return [
      {
        do: "run",
        title: `put back ${nbdServerConfig} as it was`,
        command: sh`if test -e ${nbdServerConfigBefore}; then mv -f -- ${nbdServerConfigBefore} ${nbdServerConfig}; else rm -f -- ${nbdServerConfig}; fi`,
      },
    ];
  },
});
