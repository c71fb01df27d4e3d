/** The real text of Packages' step, run by a real shell, with stand-ins for apt and dpkg that another one keeps waiting. */
import { describe, expect, it } from "vitest";
import { packages } from "../../provider/resources/packages";
import { commandOf, stubbedShell } from "./stubbedShell";

const wish = { name: "server" as const, packages: ["nbd-server"] as [string] };
const [step] = packages.plan({ is: "absent" }, wish, { name: "server" });

/** Fails as often as told, then works. */
const busy = (times: number, message: string) =>
  `if [ $(grep -c "^$(basename "$0") $1" calls) -le ${times} ]; then echo '${message}' >&2; exit 100; fi; echo done`;

const listsLock = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 871 (apt-get)";

describe("while another apt works", () => {
  it("dpkg and apt-get are tried again, and a line says who is waited for", () => {
    const host = stubbedShell();
    host.stub("dpkg", busy(2, "dpkg: error: dpkg frontend lock was locked by another process with pid 871"));
    host.stub("apt-get", busy(1, listsLock));
    host.stub("sleep", "");
    const { status, stdout } = host.run(commandOf(step));
    expect(status).toBe(0);
    expect(stdout).toContain(
      "waiting for another apt or dpkg: dpkg: error: dpkg frontend lock was locked by another",
    );
    expect(stdout).toContain(`waiting for another apt or dpkg: ${listsLock}\n`);
    expect(host.calls().map((call) => call.split(" ").slice(0, 2).join(" "))).toEqual([
      ...["dpkg --force-confdef", "sleep 2", "dpkg --force-confdef", "sleep 2", "dpkg --force-confdef"],
      ...["apt-get install", "sleep 2", "apt-get install"],
    ]);
  });

  it("the lists are not taken for missing, and the wait has an end", () => {
    const host = stubbedShell();
    host.stub("dpkg", "");
    host.stub("apt-get", busy(1000, listsLock));
    host.stub("sleep", "");
    const { status, stderr } = host.run(commandOf(step));
    expect(status).not.toBe(0);
    expect(stderr).toContain(listsLock);
    expect(host.calls().filter((call) => call.startsWith("apt-get update"))).toEqual([]);
  }, 120_000);
});

describe("what is no lock", () => {
  it("fetches the lists once, then fails with apt's own words", () => {
    const host = stubbedShell();
    host.stub("dpkg", "");
    host.stub(
      "apt-get",
      '[ "$1" = update ] || { echo "E: Unable to locate package nbd-server" >&2; exit 100; }',
    );
    const { status, stderr } = host.run(commandOf(step));
    expect(status).not.toBe(0);
    expect(stderr).toContain("Unable to locate package");
    expect(
      host
        .calls()
        .filter((call) => call.startsWith("apt-get"))
        .map((call) => call.split(" ")[1]),
    ).toEqual([...["install", "update", "install"]]);
  });
});
