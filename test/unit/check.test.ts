import { describe, expect, it } from "vitest";
import * as z from "zod";
import { check } from "../../provider/check";
import { checkConfiguration } from "../../provider/configuration";
import { registry } from "../../provider/registry";
import { resourceType } from "../../provider/resource";
import { attachment } from "../../provider/resources/attachment";
import { backingFile } from "../../provider/resources/backingFile";
import { luks } from "../../provider/resources/luks";
import { luksKey } from "../../provider/resources/luksKey";
import { unknown } from "../../provider/wire/values";
import { define, field } from "../../schema/define";
import { canonicalSize, nameField, size } from "../../schema/fields";
import { Secret } from "../../schema/secret";

const type = resourceType({
  definition: define({
    token: "netdisk:index:Thing",
    kind: "thing",
    doc: "For tests.",
    shared: false,
    inputs: {
      name: nameField,
      size: field(size, {
        doc: "Its size.",
        role: "fixed",
        cure: "Keep the size.",
        canonical: canonicalSize,
      }),
      options: field(z.array(z.string().regex(/^[a-z]+$/, "must be lower case")).default(["noatime"]), {
        doc: "Options.",
      }),
      comment: field(z.string().optional(), { doc: "Any text." }),
      passphrase: field(z.string().min(8, "must have at least 8 characters").optional(), {
        doc: "Secret.",
        role: "unobserved",
        secret: true,
      }),
    },
    conditions: { active: { value: true, doc: "Runs." } },
    outputs: {},
  }),
  name: ({ name }) => name,
  check: ({ comment }) => (comment === "no" ? [{ property: "comment", reason: "must not be no" }] : []),
  observe: () => Promise.resolve({ is: "absent" }),
  plan: () => [],
  planRemoval: () => [],
});

const good = { name: "testdisk", size: "1024 MiB" };

describe("check", () => {
  it("fills in defaults and conditions and keeps the user's spelling", () => {
    expect(check(type, undefined, good)).toEqual({
      inputs: { ...good, options: ["noatime"], active: true, claimed: true },
      failures: [],
    });
  });

  it("reports all failures at once, with their paths", () => {
    const { failures } = check(type, undefined, {
      name: "Test",
      options: ["ro", "RW", "X"],
      passphrase: "short",
    });
    expect(failures).toEqual([
      { property: "name", reason: expect.stringContaining("lower-case") as string },
      { property: "size", reason: "is missing. Its size." },
      { property: "options[1]", reason: "must be lower case" },
      { property: "options[2]", reason: "must be lower case" },
      { property: "passphrase", reason: "must have at least 8 characters" },
    ]);
  });

  it("names an unknown key with what was probably meant", () => {
    expect(check(type, undefined, { ...good, option: ["ro"] }).failures).toEqual([
      { property: "option", reason: 'is not a property; did you mean "options"?' },
    ]);
  });

  it("lets pass what is not known yet, alone or inside of a value", () => {
    const { inputs, failures } = check(
      type,
      { ...good, size: "1 GiB" },
      { ...good, size: unknown, options: [unknown] },
    );
    expect(failures).toEqual([]);
    expect(inputs).toMatchObject({ size: unknown, options: [unknown] });
  });

  it("takes null as left out, as YAML writes it", () => {
    const { inputs, failures } = check(type, undefined, { ...good, options: null, comment: null });
    expect(failures).toEqual([]);
    expect(inputs).toMatchObject({ options: ["noatime"] });
    expect("comment" in inputs).toBe(false);
  });

  it("asks the type about what single fields cannot tell", () => {
    expect(check(type, undefined, { ...good, comment: "no" }).failures).toEqual([
      { property: "comment", reason: "must not be no" },
    ]);
  });

  it("refuses the change of a fixed field with its cure, not another spelling of it", () => {
    expect(check(type, good, { ...good, size: "1 GiB" }).failures).toEqual([]);
    expect(check(type, good, { ...good, size: "2 GiB" }).failures).toEqual([
      { property: "size", reason: 'cannot change from "1024 MiB" to "2 GiB". Keep the size.' },
    ]);
    // Nothing was there to begin with.
    expect(check(type, {}, { ...good, size: "2 GiB" }).failures).toEqual([]);
  });

  it("lets a fixed field of what is not there change, but for the name", () => {
    const absent = { ...good, active: true, claimed: true, absent: true };
    expect(check(type, absent, { ...good, size: "2 GiB" })).toEqual({
      inputs: { ...good, size: "2 GiB", options: ["noatime"], active: true, claimed: true },
      failures: [],
    });
    expect(check(type, absent, { ...good, size: unknown }).failures).toEqual([]);
    expect(check(type, absent, { ...good, name: "photos" }).failures).toMatchObject([{ property: "name" }]);
  });

  it.each([
    ["file", backingFile, { name: "photos", path: "/srv/photos.img" }],
    ["attachment", attachment, { name: "photos" }],
  ])("lets a disk's %s grow, and refuses to shrink it", (_, resource, rest) => {
    const sized = (size: string) => ({ ...rest, size });
    expect(check(resource, sized("1024 MiB"), sized("2 GiB")).failures).toEqual([]);
    expect(check(resource, sized("2 GiB"), sized("2047 MiB")).failures).toEqual([
      {
        property: "size",
        reason: expect.stringMatching(
          /^cannot change from "2 GiB" to "2047 MiB"\. A disk only grows: keep /,
        ) as string,
      },
    ]);
  });

  it("refuses to put a loop device over a disk's file later, or to take it away", () => {
    const looped = (loop?: boolean) => ({ name: "photos", path: "/srv/photos.img", size: "1 GiB", loop });
    const refused = expect.stringMatching(/^cannot change from \w+ to \w+\. Keep what it was/) as string;
    for (const [before, after] of [
      [false, true],
      [true, false],
      [true, undefined],
    ] as const)
      expect(check(backingFile, looped(before), looped(after)).failures).toEqual([
        { property: "loop", reason: refused },
      ]);
    expect(check(backingFile, looped(false), looped()).failures).toEqual([]);
  });

  it.each([
    ["a sealed key file", luksKey, { bytes: 64 }, { gpg: "/etc/netdisk/key.asc", passphrase: "long enough" }],
    [
      "an iteration time",
      luks,
      { device: "/dev/netdisk/photos", keyFile: "/etc/netdisk/keys/photos.key" },
      { iterTime: 5000 },
    ],
  ])("refuses to give a disk %s later, or to take it away", (_, resource, rest, more: object) => {
    const [without, given] = [
      { name: "photos", ...rest },
      { name: "photos", ...rest, ...more },
    ];
    const [[property, value] = []] = Object.entries(more);
    const refused = (change: string) => [
      { property, reason: expect.stringContaining(`cannot change from ${change}. `) as string },
    ];
    expect(check(resource, without, given).failures).toEqual(refused(`nothing to ${JSON.stringify(value)}`));
    expect(check(resource, given, without).failures).toEqual(refused(`${JSON.stringify(value)} to nothing`));
    for (const inputs of [without, given]) {
      expect(check(resource, inputs, inputs).failures).toEqual([]);
      expect(check(resource, undefined, inputs).failures).toEqual([]);
      // Found absent but for the claim: nothing can be lost.
      expect(check(resource, { ...without, absent: true }, inputs).failures).toEqual([]);
    }
  });

  it("lets a fixed field be added that the version before did not know, where it must have a value", () => {
    expect(check(type, { name: "testdisk" }, { ...good, size: "2 GiB" }).failures).toEqual([]);
  });

  it("marks what the definition says is secret, and never shows it", () => {
    const { inputs } = check(type, undefined, {
      ...good,
      passphrase: "long enough",
      comment: new Secret("hush"),
    });
    expect(inputs.passphrase).toBeInstanceOf(Secret);
    expect(inputs.comment).toBeInstanceOf(Secret);
    const { failures } = check(type, good, { ...good, size: new Secret("2 GiB") });
    expect(failures[0]?.reason).toBe("cannot change from a secret to a secret. Keep the size.");
  });

  it("lets nobody set a condition, but takes back what the engine keeps", () => {
    expect(check(type, undefined, { ...good, active: false }).failures).toEqual([
      { property: "active", reason: "cannot be set; it is read on the host. Leave it out." },
    ]);
    expect(check(type, undefined, { ...good, active: true }).failures).toEqual([]);
    // ignoreChanges: the engine puts the old value into the new inputs.
    const ignored = check(type, { ...good, active: false }, { ...good, active: false });
    expect(ignored).toMatchObject({ failures: [], inputs: { active: false } });
  });
});

describe("the provider's configuration", () => {
  const config = { role: "server", host: "backup" };

  it("is checked by the same code", () => {
    expect(checkConfiguration({ ...config, usr: "root", port: 0 }).failures).toEqual([
      { property: "usr", reason: 'is not a property; did you mean "user"?' },
      expect.objectContaining({ property: "port" }) as unknown,
    ]);
    expect(checkConfiguration({ role: "server" }).failures).toMatchObject([{ property: "host" }]);
    expect(checkConfiguration({ role: "client", connection: "local" }).failures).toEqual([]);
    expect(checkConfiguration({ role: "server", host: unknown }).failures).toEqual([]);
  });

  it("takes numbers as SDKs send them, and what the engine adds", () => {
    const { inputs, failures } = checkConfiguration({
      ...config,
      port: "2222",
      version: "0.1.0",
      __internal: {},
    });
    expect(failures).toEqual([]);
    expect(inputs).toMatchObject({ port: 2222, version: "0.1.0", __internal: {} });
  });

  it("keeps the private key secret", () => {
    expect(checkConfiguration({ ...config, privateKey: "k" }).inputs.privateKey).toBeInstanceOf(Secret);
  });
});

it.each(["Export", "Serve"] as const)(
  "%s: a file that serves something else is no change of the wish",
  (type) => {
    const wish = {
      name: "photos",
      exportName: "/var/lib/netdisk/photos.img",
      ...(type === "Serve" && { publicKey: "ssh-ed25519 AAAA" }),
    };
    // After a refresh the old inputs are what the host has.
    const found = { ...wish, exportName: "/etc/passwd" };
    expect(check(registry.get(`netdisk:index:${type}`)!, found, wish).failures).toEqual([]);
  },
);
