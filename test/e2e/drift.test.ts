/** What was changed by hand is named by `preview` and repaired by a plain `up`: some rows of drift.yaml, together. */
import { beforeAll, describe, expect, it } from "vitest";
import { namedAndRepaired, writeMarker } from "./harness/drift";
import { ofOneDisk } from "./harness/driftTable";
import { lab, mounted } from "./harness/lab";
import { pulumi, state } from "./harness/project";
import { expectNoChanges, startMounted } from "./harness/scenario";

/** Who is in the state. */
const residents = () => state().resources.map(({ urn, id }) => ({ urn, id }));

/** What the state says of the server. The engine encrypts secrets anew whenever it writes. */
const saysOfServer = (): unknown =>
  JSON.parse(
    JSON.stringify(
      state()
        .resources.filter(({ provider }) => provider?.includes("netdisk:index:Server$"))
        .map(({ urn, inputs, outputs, initErrors }) => ({ urn, inputs, outputs, initErrors })),
      (key, value: unknown) => (key === "ciphertext" ? "…" : value),
    ),
  );

const minutes = (n: number) => n * 60_000;
const inEveryRun = 3;

beforeAll(async () => {
  await startMounted();
  await writeMarker();
}, minutes(15));

describe("drift made by hand", () => {
  it.each(ofOneDisk.batches.filter(({ batch }) => batch <= inEveryRun))(
    "$what",
    ({ rows }) => namedAndRepaired(rows),
    minutes(6),
  );

  it("leaves nothing to do", expectNoChanges);
});

describe("a server that is switched off", () => {
  it(
    "is named, and nothing is lost from the state",
    async () => {
      const before = { residents: residents(), server: saysOfServer() };
      await lab("power", "cut", "server");
      try {
        const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
        expect(code, output).not.toBe(0);
        expect(output).toMatch(/server \(root@10\.77\.0\.2:22\)/);
        expect(output).toContain("NETDISK_HOST_GONE");
        // The client's own resources say truthfully that the tunnel is down.
        expect({ residents: residents(), server: saysOfServer() }).toEqual(before);
      } finally {
        await lab("power", "on", "server");
      }
      await mounted();
      await expectNoChanges();
    },
    minutes(4),
  );
});
