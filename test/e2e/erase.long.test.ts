/** An order to erase destroys exactly the disk it names, only when that disk leaves the stack, and says what it was. */
import { beforeAll, describe, expect, it } from "vitest";
import { lab, mounted, on, tryOn } from "./harness/lab";
import { rowsOf } from "./harness/previewText";
import { pulumi, setDisks, setSection, startPulumi, state, testdisk, type Disk } from "./harness/project";
import { until } from "./harness/run";
import { expectNoChanges, startMounted, up } from "./harness/scenario";

const minutes = (n: number) => n * 60_000;

const second: Disk = {
  file: { path: "/var/lib/netdisk/second.img", size: "320 MiB" },
  mount: { path: "/mnt/second" },
};
const secrets =
  "/etc/netdisk/keys/second.key /var/lib/netdisk/headers/second.luks /var/lib/netdisk/recovery/second.gpg";
const marker = "/mnt/disk/not-to-be-erased";

const uuidOf = (name: string): string =>
  String(state().resources.find(({ id }) => id === `luks/${name}`)?.outputs?.uuid);

const typesOf = (name: string) =>
  state()
    .resources.filter(({ urn }) => urn.endsWith(`::${name}`))
    .map(({ type }) => type.replace("netdisk:index:", ""));

const setErase = (erase: Record<string, string> | undefined) => setSection("erase", erase);

const count = (host: "client" | "server", files: string) => on(host, `ls -d ${files} 2>/dev/null | wc -l`);

beforeAll(async () => {
  await startMounted();
  await on("client", `echo stays >${marker} && sync -f ${marker}`);
  setDisks({ testdisk, second });
  await up();
  await on("client", "echo goes >/mnt/second/file && sync -f /mnt/second/file");
}, minutes(20));

describe("the order", () => {
  it(
    "with another UUID is refused, and nothing happens to the disk",
    async () => {
      setErase({ second: uuidOf("testdisk") });
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(code, output).not.toBe(0);
      expect(output).toContain(
        `to erase, "second" with LUKS UUID ${uuidOf("testdisk")}: it has ${uuidOf("second")}`,
      );
      expect(await on("client", "cat /mnt/second/file")).toBe("goes");
      expect(typesOf("second")).not.toContain("Erase");
    },
    minutes(5),
  );

  it(
    "is shown as ERASE, recorded in state and on both hosts, and changes nothing else",
    async () => {
      setErase({ second: uuidOf("second") });
      const preview = await pulumi(["preview"]);
      expect(preview.output).toMatch(/\+ +netdisk:index:Erase second create/);
      expect(preview.output).toMatch(/\+ +netdisk:index:EraseFile second create/);
      expect(preview.output).toContain(`record the order to ERASE second, LUKS UUID ${uuidOf("second")}`);
      await up();
      expect(typesOf("second")).toEqual(expect.arrayContaining(["Erase", "EraseFile"]));
      for (const host of ["client", "server"] as const) {
        expect(await on(host, "cat /var/lib/netdisk/erase/second")).toContain(uuidOf("second"));
      }
      expect(await on("client", "cat /mnt/second/file")).toBe("goes");
      await expectNoChanges();
      // Also a later run says what stands.
      expect((await pulumi(["preview"])).output).toContain('ERASE: when the disk "second"');
    },
    minutes(5),
  );

  it(
    "is recorded again where somebody took its note away, and named until then",
    async () => {
      for (const host of ["client", "server"] as const) await on(host, "rm /var/lib/netdisk/erase/second");
      const { code, output } = await pulumi(["preview", "--expect-no-changes"]);
      expect(code, output).not.toBe(0);
      for (const type of ["Erase", "EraseFile"])
        expect(rowsOf(output, type, "second").join("\n"), output).toMatch(/\[diff: .*\brecorded\b/);
      await up();
      for (const host of ["client", "server"] as const)
        expect(await on(host, "cat /var/lib/netdisk/erase/second")).toContain(uuidOf("second"));
      expect(await on("client", "cat /mnt/second/file")).toBe("goes");
    },
    minutes(5),
  );

  it(
    "is withdrawn by leaving it out while the disk stays",
    async () => {
      setErase(undefined);
      await up();
      expect(typesOf("second")).not.toContain("Erase");
      for (const host of ["client", "server"] as const) {
        expect(await count(host, "/var/lib/netdisk/erase/* /var/lib/netdisk/intent/*")).toBe("0");
      }
      expect(await on("client", "cat /mnt/second/file")).toBe("goes");
      await expectNoChanges();
    },
    minutes(5),
  );
});

describe("a disk that leaves the stack", () => {
  let uuid: string;

  it(
    "is half-erased when the client's power is cut: nothing takes it for blank, the next run finishes it",
    async () => {
      uuid = uuidOf("second");
      setErase({ second: uuid });
      await up();
      setDisks({ testdisk });
      expect((await pulumi(["preview"])).output).toMatch(/- +netdisk:index:Erase second delete/);
      const run = startPulumi(["up", "--yes", "--skip-preview"]);
      await until(
        "the destruction has begun",
        180,
        async () => (await tryOn("client", "test -e /var/lib/netdisk/intent/erase-second")).code === 0,
      );
      await lab("power", "cut", "client");
      const { code, output } = await run.ended;
      expect(code, output).not.toBe(0);
      await lab("power", "on", "client");
      await mounted();
      expect(await on("client", "cat /var/lib/netdisk/intent/erase-second")).toBe(uuid);

      setDisks({ testdisk, second });
      const again = await pulumi(["up", "--yes", "--skip-preview"]);
      expect(again.code, again.output).not.toBe(0);
      expect(again.output).toContain(
        `the erasing of the disk "second", LUKS UUID ${uuid}, was begun and not finished`,
      );

      setDisks({ testdisk });
      const said = await up();
      expect(said).toMatch(new RegExp(`ERASED the disk second, LUKS UUID ${uuid}: .*\\(335544320 bytes\\)`));
      expect(said).toMatch(
        new RegExp(
          `ERASED the file of the disk second, LUKS UUID ${uuid}: /var/lib/netdisk/second.img \\(335544320 bytes\\)`,
        ),
      );
    },
    minutes(12),
  );

  it(
    "has left nothing on either host, and the other disk is as it was",
    async () => {
      expect(await count("client", secrets)).toBe("0");
      expect(await count("server", "/var/lib/netdisk/second.img /etc/netdisk/made/second")).toBe("0");
      for (const host of ["client", "server"] as const) {
        expect(await count(host, "/var/lib/netdisk/erase/* /var/lib/netdisk/intent/*")).toBe("0");
      }
      expect(typesOf("second")).toEqual([]);
      expect(await on("client", `cat ${marker}`)).toBe("stays");
      // Its line may stay.
      await expectNoChanges();
    },
    minutes(3),
  );

  it(
    "gives its name to a new one, which the old order does not touch",
    async () => {
      setDisks({ testdisk, second });
      const { code, output } = await pulumi(["up", "--yes", "--skip-preview"]);
      // The line that stayed names a disk that is gone.
      expect(code, output).not.toBe(0);
      expect(output).toContain("Correct its line under `erase`, or remove it");
      setErase(undefined);
      await up();
      expect(uuidOf("second")).not.toBe(uuid);
      expect(await on("client", "ls -A /mnt/second")).toBe("");
    },
    minutes(8),
  );
});

it(
  "`pulumi destroy` erases what was ordered, and gives the rest back unharmed",
  async () => {
    const uuid = uuidOf("second");
    setErase({ second: uuid });
    await up();
    const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
    expect(code, output).toBe(0);
    expect(output).toContain(`ERASED the disk second, LUKS UUID ${uuid}`);
    expect(output).toContain(`ERASED the file of the disk second, LUKS UUID ${uuid}`);
    expect(await count("client", secrets)).toBe("0");
    expect(await count("server", "/var/lib/netdisk/second.img")).toBe("0");
    setErase(undefined);
    setDisks({ testdisk });
    await up();
    expect(await on("client", `cat ${marker}`)).toBe("stays");
  },
  minutes(10),
);
