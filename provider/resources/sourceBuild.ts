/** nbd from git (schema/client.ts): the article's clone, sed, autogen, configure, make, make install. */
import { sourceBuild as definition } from "../../schema/client";
import { nbdManifest } from "../../schema/paths";
import { ask } from "../fact";
import { buildManifest, fileDigests, starts } from "../facts/nbdBuild";
import { resourceType } from "../resource";
import { buildSteps, forgetBuild, removalSteps } from "./sourceBuildSteps";

export const sourceBuild = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ prefix }) => ({ client: `${prefix}/sbin/nbd-client` }),
  renewed: ["commit", "digests"],

  async observe(host, { name, prefix }) {
    const manifest = await ask(host, buildManifest, prefix, nbdManifest(prefix));
    if (manifest === "none") return { is: "absent" };
    if (manifest === "unknown") {
      return {
        is: "foreign",
        what: `${prefix} holds programs that netdisk did not build`,
        cure: `Move it away (mv ${prefix} ${prefix}.by-hand), or remove it if nothing needs it.`,
      };
    }
    const paths = Object.keys(manifest.programs).map((path) => `${prefix}/${path}`);
    const client = `${prefix}/sbin/nbd-client`;
    const found = await ask(host, fileDigests, paths);
    const intact =
      paths.includes(client) &&
      Object.entries(manifest.programs).every(([path, digest]) => found[`${prefix}/${path}`] === digest);
    // Only a program that is proven to be ours is run.
    const runs = intact && (await ask(host, starts, client));
    const { repository, ref, commit, configure, programs: digests } = manifest;
    return {
      is: "present",
      state: { name, repository, ref, prefix, configure, intact, runs, commit, digests, client },
    };
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return buildSteps(inputs);
    const { repository, ref, configure, intact, runs, commit } = observed.state;
    const sameRef = repository === inputs.repository && ref === inputs.ref;
    const asWished = sameRef && JSON.stringify(configure) === JSON.stringify(inputs.configure);
    if (asWished && intact && runs) return [];
    // A build that does not run must be made anew against the libraries that are there now; else the last one will do.
    const forget = asWished && intact ? [forgetBuild(inputs.prefix)] : [];
    return [...forget, ...buildSteps(inputs, sameRef ? commit : undefined)];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    return removalSteps(inputs.prefix, Object.keys(observed.state.digests));
  },
});
