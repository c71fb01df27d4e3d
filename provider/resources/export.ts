/** One section of nbd-server(5) in a file of its own, loaded by the running nbd-server. */
import { exportFile, nbdServerIncludeDir, nbdServerSince } from "../../schema/paths";
import { diskExport as definition } from "../../schema/server";
import type { State } from "../../schema/define";
import { ask, askFile } from "../fact";
import { escapeValue, keyFileBoolean, parseKeyFile } from "../facts/keyFile";
import { nbdServerSections, parseSince } from "../facts/nbdServer";
import { sh } from "../host/sh";
import { resourceType, type Step, writeStep } from "../resource";
import { raw, render } from "../template";
import { digest, load, lookAtNbdServer, rewriteNotes } from "./nbdServer";
import { isWritten } from "./written";

type Values = Partial<State<typeof definition>>;

/** Key in the file → property of ours and how its text is understood. */
const settings: Record<string, (value: string) => Values> = {
  exportname: (exportName) => ({ exportName }),
  flush: (text) => ({ flush: keyFileBoolean(text) }),
  fua: (text) => ({ fua: keyFileBoolean(text) }),
  sync: (text) => ({ sync: keyFileBoolean(text) }),
  readonly: (text) => ({ readOnly: keyFileBoolean(text) }),
  authfile: (authFile) => ({ authFile }),
  virtstyle: () => ({}),
};

const inputKeys = Object.keys(definition.inputs) as (keyof typeof definition.inputs)[];

/** The settings of the section and whether the file holds just them. What is not set is off in nbd-server. */
export function understand(name: string, text: string): Values & { onlyOurs: boolean } {
  const { groups, strange } = parseKeyFile(text);
  const values: Values = { flush: false, fua: false, sync: false, readOnly: false };
  const entries = groups.find((group) => group.name === name)?.entries ?? [];
  for (const [key, value] of entries) Object.assign(values, settings[key]?.(value));
  const onlyOurs =
    groups.length === 1 &&
    groups[0]?.name === name &&
    strange.length === 0 &&
    entries.every(([key]) => Object.hasOwn(settings, key)) &&
    // Else a path with a `%` in it is another file's.
    Object.fromEntries(entries).virtstyle === "none";
  return { ...values, name, onlyOurs };
}

/** Ends what still serves the disk to somebody: the export is taken back from whoever has it. */
const endSessions = (path: string) => sh`for pid in $(pidof nbd-server); do
  for open in /proc/$pid/fd/*; do
    if test "$open" -ef ${path}; then kill -TERM "$pid"; break; fi
  done
done`;

export const diskExport = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  // The Attachment is shown what it will have to do.
  renewed: ["revision"],

  async observe(host, { name, exportName }, known) {
    const path = exportFile(name);
    const [content, { record }, sections] = await Promise.all([
      host.readFile(path),
      lookAtNbdServer(host),
      ask(host, nbdServerSections, nbdServerIncludeDir),
    ]);
    // Read after the record: another export's restart may have been waited for.
    const since = await askFile(host, nbdServerSince, parseSince, rewriteNotes);
    const revision = since?.[path] ?? "";
    const other = sections.find((section) => section.name === name && section.file !== path);
    if (other) {
      return {
        is: "foreign",
        what: `${other.file} has a section [${name}] already`,
        cure: "Take it out of there, or give the disk another name.",
      };
    }
    const loaded = record?.digests[path];
    if (content === undefined) {
      if (loaded === undefined) return { is: "absent" };
      // Removed by hand, and still served from memory.
      return { is: "present", state: { name, exportName, onlyOurs: false, loaded: false, revision } };
    }
    const text = content.toString();
    if (!isWritten(text) && known.state?.onlyOurs === undefined) {
      return {
        is: "foreign",
        what: `${path} was made by hand`,
        cure: "Move it away, or give the disk another name.",
      };
    }
    return {
      is: "present",
      state: { ...understand(name, text), loaded: loaded === digest(content), revision },
    };
  },

  plan(observed, inputs) {
    const state = observed.is === "present" ? observed.state : undefined;
    const steps: Step[] = [];
    if (!state?.onlyOurs || inputKeys.some((key) => state[key] !== inputs[key])) {
      const { flush, fua, sync, readOnly } = inputs;
      const text = render("nbd-export.conf", {
        name: inputs.name,
        exportName: raw(escapeValue(inputs.exportName)),
        flush: String(flush),
        fua: String(fua),
        sync: String(sync),
        readOnly: String(readOnly),
        authFile: raw(escapeValue(inputs.authFile)),
      });
      steps.push(writeStep(exportFile(inputs.name), text));
    }
    if (steps.length > 0 || !state?.loaded) steps.push(load("restart"));
    return steps;
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const path = exportFile(inputs.name);
    return [
      { do: "run", title: `rm ${path}`, command: sh`rm -f -- ${path}` },
      load("try-restart"),
      { do: "run", title: "end what still serves it", command: endSessions(inputs.exportName) },
    ];
  },
});
