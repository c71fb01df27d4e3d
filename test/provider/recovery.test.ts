/** The sealed copy is needed most when its client is new or gone: state must not lose it then. */
import { afterEach, describe, expect, it } from "vitest";
import { recovery } from "../../provider/resources/recovery";
import { unknown } from "../../provider/wire/values";
import { Secret } from "../../schema/secret";
import type { Failure } from "./client";
import { urnOf } from "./client";
import { play } from "./playing";

const urn = urnOf("testdisk", { type: "netdisk:index:Recovery" });
const sealed = new Secret("-----BEGIN PGP MESSAGE-----\n");
const wish = {
  name: "testdisk",
  keyFile: "/etc/netdisk/keys/testdisk.key",
  header: "/var/lib/netdisk/headers/testdisk.luks",
  luksUuid: "5796cca7-6149-42b5-ab40-e765711a3551",
  passphrase: new Secret("correct horse"),
};
const existing = {
  id: "recovery/testdisk",
  inputs: { ...wish, kept: true, current: true, claimed: true },
  outputs: { ...wish, kept: true, current: true, claimed: true, claim: "nonce", sealed },
};
const revealed = (value: unknown): unknown => (value instanceof Secret ? value.reveal() : value);

describe("the sealed copy", () => {
  afterEach(() => delete process.env.NETDISK_HOST_GONE);

  it("stays in the state of a client that has lost it", async () => {
    const engine = await play(undefined, [recovery]);
    const { id, outputs } = await engine.read(urn, existing);
    expect(id).toBe(existing.id);
    expect(outputs).toMatchObject({ kept: false, current: false, luksUuid: wish.luksUuid });
    expect(revealed(outputs.sealed)).toBe(sealed.reveal());
  });

  it("goes back to that client, and stays in the state when the disk's key is not there", async () => {
    const engine = await play(undefined, [recovery]);
    const { inputs } = await engine.check(urn, wish);
    const failure = (await engine.update(urn, existing, inputs).catch((error: unknown) => error)) as Failure;
    expect(engine.host.read("../recovery", "testdisk.gpg")).toBe(sealed.reveal());
    expect(revealed(failure.initFailed?.outputs.sealed)).toBe(sealed.reveal());
  });

  it("may be another after an update, which a preview does not know", async () => {
    const engine = await play(undefined, [recovery]);
    const { inputs } = await engine.check(urn, { ...wish, passphrase: new Secret("another horse") });
    expect((await engine.update(urn, existing, inputs, true)).outputs.sealed).toBe(unknown);
  });

  it("outlives a host that is given up, until it is deleted", async () => {
    const engine = await play(undefined, [recovery]);
    engine.host.transport.reachable = false;
    process.env.NETDISK_HOST_GONE = "SHA256:sandbox";
    const { id, outputs } = await engine.read(urn, existing);
    expect(id).toBe(existing.id);
    expect(revealed(outputs.sealed)).toBe(sealed.reveal());
    // The next host has no claim: the update that gives it the copy is due.
    expect(outputs.claimed).toBe(false);
    await engine.delete(urn, existing);
  });
});
