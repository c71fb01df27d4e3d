/** The article's /etc/nbd-server/allow, read by nbd-server at each connection. */
import { authFile as definition } from "../../schema/server";
import { ask } from "../fact";
import { userAccess } from "../facts/access";
import { parseAllowFile } from "../facts/allowFile";
import { sh } from "../host/sh";
import { resourceType, type Step, writeStep } from "../resource";
import { raw, render } from "../template";
import { isWritten } from "./written";

const same = (a: readonly string[], b: readonly string[]): boolean => a.join("\n") === b.join("\n");

export const authFile = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.path.slice(inputs.path.lastIndexOf("/") + 1),

  async observe(host, { path, reader, addresses }, known) {
    const content = await host.readFile(path);
    if (content === undefined) return { is: "absent" };
    const text = content.toString();
    const found = parseAllowFile(text);
    const written = isWritten(text);
    if (!written && known.state?.written === undefined && !same(found, addresses)) {
      return {
        is: "foreign",
        what: `${path} was made by hand and holds ${found.join(", ") || "no address"}`,
        cure: `Give the AuthFile another path, or make the file hold ${addresses.join(", ")}, one per line.`,
      };
    }
    const readable = await ask(host, userAccess, reader, path, "r");
    return { is: "present", state: { path, addresses: found, reader, readable, written } };
  },

  plan(observed, { path, addresses }) {
    const state = observed.is === "present" ? observed.state : undefined;
    if (state?.readable && same(state.addresses ?? [], addresses)) return [];
    const content = render("nbd-allow", { addresses: raw(addresses.join("\n")) });
    const steps: Step[] = [writeStep(path, content)];
    if (state && !state.readable) {
      const directory = path.slice(0, path.lastIndexOf("/")) || "/";
      steps.push({ do: "run", title: `chmod o+x ${directory}`, command: sh`chmod o+x -- ${directory}` });
    }
    return steps;
  },

  planRemoval(observed, { path }) {
    if (observed.is === "absent" || !observed.state.written) return [];
    return [{ do: "run", title: `rm ${path}`, command: sh`rm -f -- ${path}` }];
  },
});
