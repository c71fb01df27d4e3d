/** What a real sshd answers the question for its configuration, whatever Match blocks that has. */
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { sshdConfig } from "../../provider/facts/sshd";
import { sshdMissing, sshdProgram } from "./sshd";
import { at } from "./sshFixture";

/** The fact's answer for a login of root, from an sshd with these lines in its configuration. */
function configuration(...lines: string[]) {
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", at("host")]);
  writeFileSync(at("sshd_config"), `HostKey ${at("host")}\n${lines.join("\n")}\n`);
  const asked = sshdConfig
    .command("root")
    .text.replaceAll("/usr/sbin/sshd", `${sshdProgram} -f ${at("sshd_config")}`);
  const { status, stdout, stderr } = spawnSync("sh", ["-c", asked], { encoding: "utf8" });
  return { ...sshdConfig.parse({ exitCode: status ?? 255, stdout, stderr }, "root"), stderr };
}

const limits = (port: number) => [`Match LocalPort ${port}`, "  PermitRootLogin no"];

describe.skipIf(sshdMissing())("sshd's configuration", () => {
  it.each([
    ["none", [], "without-password"],
    ["for its port", limits(22), "no"],
    ["for another port", limits(2222), "without-password"],
    ["for its only port, which is not 22", ["Port 2222", ...limits(2222)], "no"],
    ["for the first of its ports", ["Port 2222", "Port 22", ...limits(2222)], "no"],
    ["for the port of its address", ["ListenAddress [::1]:2222", ...limits(2222)], "no"],
    [
      "for an address, a user and a domain",
      ["Match LocalAddress 10.0.0.1", "Match User x", "Match RDomain y"],
      "without-password",
    ],
  ])("is told with Match blocks: %s", (_, lines, permitrootlogin) => {
    expect(configuration(...lines)).toMatchObject({ permitrootlogin: [permitrootlogin], stderr: "" });
  });
});
