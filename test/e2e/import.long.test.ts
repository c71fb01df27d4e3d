/** `pulumi import` reads single things into a state that has lost them, by the command that docs/adopt.md prints. */
import { beforeAll, expect, it } from "vitest";
import { on } from "./harness/lab";
import { pulumi, state, type StateResource } from "./harness/project";
import { expectNoChanges, startMounted, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

beforeAll(startMounted, minutes(15));

const nameOf = (urn: string): string => urn.split("::").at(-1) ?? "";

const ofType = (type: string): StateResource => {
  const found = state().resources.find((resource) => resource.type === `netdisk:index:${type}`);
  if (!found) throw new Error(`no ${type} in the state`);
  return found;
};

function importing({ type, urn, id = "", provider = "", parent = "" }: StateResource) {
  const providerUrn = provider.slice(0, provider.lastIndexOf("::"));
  return pulumi([
    ...["import", type, nameOf(urn), id, "--yes", "--protect=false", "--generate-code=false"],
    ...["--provider", `host=${providerUrn}`, "--parent", `disk=${parent}`],
  ]);
}

it(
  "what is mounted, with all that lies on it, is back in the state, and nothing was done to it",
  async () => {
    const mountId = () => on("client", "findmnt -n -o ID /mnt/disk");
    const before = { urns: state().resources.map(({ urn }) => urn), mount: await mountId() };
    const lost = ["Filesystem", "Mount", "DiskTarget"].map(ofType);
    const removed = await pulumi(["state", "delete", lost[0]?.urn ?? "", "--target-dependents", "--yes"]);
    expect(removed.code, removed.output).toBe(0);
    expect(state().resources).toHaveLength(before.urns.length - lost.length);

    for (const resource of lost) {
      const { code, output } = await importing(resource);
      expect(code, output).toBe(0);
      expect(ofType(resource.type.split(":").at(-1) ?? "")).toMatchObject({
        urn: resource.urn,
        id: resource.id,
      });
    }
    await up();
    await expectNoChanges();
    expect(
      state()
        .resources.map(({ urn }) => urn)
        .sort(),
    ).toEqual(before.urns.sort());
    expect(await mountId()).toBe(before.mount);
  },
  minutes(10),
);
