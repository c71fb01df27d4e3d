/** What was changed by hand is named by `preview` and repaired by a plain `up`. Cases are data: drift.yaml. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { lab, mounted, on, type HostName } from "./harness/lab";
import { pulumi, state } from "./harness/project";
import { expectNoChanges, startMounted, up } from "./harness/scenario";

interface Drift {
  name: string;
  on: HostName;
  do: string;
  names: string[];
  heals?: boolean;
  check: string;
}

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
const drifts = parse(readFileSync(join(__dirname, "drift.yaml"), "utf8")) as Drift[];
const marker = "/mnt/disk/before-the-drift";

beforeAll(async () => {
  await startMounted();
  await on("client", `echo still here > ${marker} && sync -f ${marker}`);
}, minutes(15));

describe("drift made by hand", () => {
  it.each(drifts)(
    "$name",
    async (drift) => {
      await on(drift.on, drift.do);

      const preview = await pulumi(["preview", "--expect-no-changes"]);
      const healed = drift.heals === true && preview.code === 0;
      if (!healed) {
        expect(preview.code, preview.output).not.toBe(0);
        for (const named of drift.names) {
          const [type = "", property = ""] = named.split(" ");
          expect(preview.output).toMatch(new RegExp(`[~+] +netdisk:index:${type} .*${property}`));
        }
      }

      await up();
      await on(drift.on, drift.check);
      await mounted();
      expect(await on("client", `cat ${marker}`)).toBe("still here");
    },
    minutes(4),
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
