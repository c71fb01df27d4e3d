/** A host that cannot be reached: each cause in its own words. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { Unreachable } from "../../provider/errors";
import { hostFingerprints } from "../../provider/host/open";
import { ask, at, errorOf, generate, open, server, unusedPort } from "./sshFixture";

async function unreachable(asked: Promise<unknown>): Promise<Unreachable> {
  const error = await errorOf(asked);
  if (!(error instanceof Unreachable)) throw error;
  return error;
}

describe("the error of a host that cannot be reached names host, address, cause and cure", () => {
  const moved =
    " If its address, user or key has changed, set the new one and run `pulumi up --refresh --run-program`; " +
    "if the host no longer exists,";
  const givenUp = (fingerprint: string) =>
    `${moved} first keep what \`pulumi stack output recovery --show-secrets\` prints, then set ` +
    `NETDISK_HOST_GONE=${fingerprint} to give up what was on it.`;

  /** Where the state knows the host, the cause's own cure stays the last one. */
  function expectCure({ message, whereKnown }: Unreachable, found: string, cure: string): void {
    expect(message).toContain(`${found}. ${cure}`);
    expect(message).not.toMatch(/GONE|no longer exists/);
    expect(whereKnown).toContain(`${found}.${moved} docs/recovery.md has the way. ${cure}`);
  }

  it("refused", async () => {
    const { connection } = await server();
    const port = await unusedPort();
    const { code, message, whereKnown } = await unreachable(ask(open({ ...connection, port })));
    const [fingerprint = ""] = await hostFingerprints(connection);
    expect(code).toBe("UNREACHABLE");
    const found = `127.0.0.1 (root@127.0.0.1:${port}) cannot be reached: 127.0.0.1:${port} refuses connections: sshd does not run there.`;
    expect(message).toBe(
      `${found} Start it, or set another host, port or user, and run \`pulumi up\` again.`,
    );
    expect(whereKnown).toBe(found + givenUp(fingerprint));
  });

  it("a name without address", async () => {
    const { connection } = await server();
    const error = await errorOf(ask(open({ ...connection, host: "no-such-host.invalid" })));
    expect(error.message).toMatch(/the name no-such-host\.invalid has no address \((ENOTFOUND|EAI_AGAIN)\)/);
  });

  it("no answer within 10 s, and how far it came", { timeout: 20_000 }, async () => {
    const { connection } = await server();
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const began = Date.now();
    const error = await errorOf(ask(open({ ...connection, port })));
    silent.close();
    expect(error.message).toContain("it did not answer within 10 s (connected, no SSH greeting)");
    expect(Date.now() - began).toBeLessThan(11_500);
  });

  it("something that is no SSH server", async () => {
    const { connection } = await server();
    const web = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(
      0,
      "127.0.0.1",
    );
    await once(web, "listening");
    const error = await errorOf(ask(open({ ...connection, port: (web.address() as AddressInfo).port })));
    web.close();
    expect(error.code).toBe("UNREACHABLE");
  });

  it("another host key than the pinned one: both fingerprints", async () => {
    const { connection } = await server();
    const { connection: other } = await server();
    const error = await unreachable(ask(open({ ...connection, hostKey: other.hostKey })));
    const [shown = ""] = await hostFingerprints(connection);
    const [pinned = ""] = await hostFingerprints(other);
    expectCure(
      error,
      `it shows the host key ${shown} (ssh-ed25519), but hostKey has ${pinned} (ssh-ed25519): this may be another machine`,
      "If the host was rebuilt on purpose, record its new key",
    );
  });

  it("no known key: the fingerprint shown, and how to make it known", async () => {
    const { connection, port } = await server();
    writeFileSync(at("known_hosts"), "");
    writeFileSync(at("config"), `UserKnownHostsFile ${at("known_hosts")}\nGlobalKnownHostsFile none\n`);
    const error = await unreachable(
      ask(open({ ...connection, hostKey: undefined, sshConfig: at("config") })),
    );
    const [shown = ""] = await hostFingerprints(connection);
    expectCure(
      error,
      `its host key ${shown} (ssh-ed25519) is not known: no entry for [127.0.0.1]:${port} in ${at("known_hosts")}`,
      "If `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host prints this fingerprint, add it with",
    );
    expect(error.message).toContain(`ssh-keyscan -p ${port} 127.0.0.1 >> ~/.ssh/known_hosts`);
    expect(error.message).toContain(`or set hostKey to \`${connection.hostKey}\``);
  });

  it("no key of the known kind", async () => {
    const { connection } = await server();
    const hostKey = generate("ecdsa");
    const error = await errorOf(ask(open({ ...connection, hostKey })));
    expect(error.message).toContain("no host key of the kind that is known (ecdsa-sha2-nistp256 in hostKey)");
  });

  it("a login that is refused: what was tried, once for all who ask", async () => {
    const { connection, dialled } = await server([], { refuseAll: true });
    const host = open(connection);
    const first = await unreachable(ask(host));
    expect(await unreachable(ask(host))).toBe(first);
    expect(dialled()).toBe(1);
    expectCure(
      first,
      "it refuses the login of root; tried: privateKey",
      "Add one of these keys to ~root/.ssh/authorized_keys on the host, or set user, identityFile or privateKey.",
    );
  });
});
