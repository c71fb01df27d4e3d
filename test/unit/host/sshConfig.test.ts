import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  fingerprint,
  knownHostsName,
  offered,
  parseHostKey,
  parseKnownHosts,
} from "../../../provider/host/hostKeys";
import { expandTokens, jumpCommand, parseConfig, resolveTarget } from "../../../provider/host/sshConfig";

const ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJXtV3Te0JTwjIcOJ5ikt04/80jmujfUMHkJV7CI/Jhw";

describe("parseConfig", () => {
  it("keeps repeated keywords and values with spaces", () => {
    const text =
      "host backup\nuser root\nidentityfile ~/.ssh/a\nidentityfile ~/.ssh/b\nproxycommand nc -X 5 %h %p\nempty\n";
    expect(parseConfig(text)).toEqual({
      host: ["backup"],
      user: ["root"],
      identityfile: ["~/.ssh/a", "~/.ssh/b"],
      proxycommand: ["nc -X 5 %h %p"],
      empty: [""],
    });
  });
});

it("files of a stack file are relative to Pulumi.yaml, wherever below it the engine runs the provider", async () => {
  const project = realpathSync(mkdtempSync(join(tmpdir(), "netdisk-project-")));
  const cwd = vi.spyOn(process, "cwd").mockReturnValue(join(project, "dist"));
  onTestFinished(() => {
    cwd.mockRestore();
    rmSync(project, { recursive: true });
  });
  for (const folder of ["ssh", "dist"]) mkdirSync(join(project, folder));
  writeFileSync(join(project, "Pulumi.yaml"), "");
  writeFileSync(join(project, "ssh/config"), "Host backup\n  HostName 192.0.2.7\n  ProxyJump gate\n");
  const files = { sshConfig: "ssh/config", identityFile: "ssh/id" };
  expect(await resolveTarget({ connection: "ssh", host: "backup", ...files })).toMatchObject({
    hostName: "192.0.2.7",
    identityFiles: [join(project, "ssh/id")],
    proxy: expect.stringContaining(`'-F' '${project}/ssh/config'`) as string,
  });
});

describe("expandTokens", () => {
  it("fills in tokens, and refuses what it does not know", () => {
    expect(expandTokens("nc %h %p 100%%h", { h: "a", p: "22" }, "ProxyCommand")).toBe("nc a 22 100%h");
    expect(() => expandTokens("x %C", {}, "ProxyCommand")).toThrow(
      'ProxyCommand "x %C": %C is not supported',
    );
  });
});

describe("jumpCommand", () => {
  const target = { hostName: "10.0.0.2", port: 2222 };
  const command = (jump: string, config?: string) => jumpCommand(jump, target, config).replaceAll("'", "");
  const end = "-o BatchMode=yes -o ClearAllForwardings=yes -W [10.0.0.2]:2222 --";

  it.each([
    ["gate", `ssh ${end} gate`],
    ["me@gate:33", `ssh -l me -p 33 ${end} gate`],
    ["ssh://me@gate:33", `ssh -l me -p 33 ${end} gate`],
    ["[fe80::1]:33", `ssh -p 33 ${end} fe80::1`],
    ["a,b:2,me@c", `ssh -l me -J a,b:2 ${end} c`],
  ])("%s", (jump, expected) => {
    expect(command(jump)).toBe(expected);
  });

  it("uses the same configuration file, quoted for the shell", () => {
    expect(jumpCommand("gate", target, "/it's here")).toContain(`'-F' '/it'\\''s here'`);
  });

  it("refuses what it does not understand", () => {
    expect(() => command("a@b@c:x:y")).toThrow("not understood");
  });
});

describe("host keys", () => {
  it("have the fingerprint that ssh-keygen -l prints", () => {
    const blob = Buffer.from(ed25519.split(" ")[1]!, "base64");
    const expected = createHash("sha256").update(blob).digest("base64").slice(0, 43);
    expect(parseHostKey(`${ed25519} root@backup`)).toEqual({
      type: "ssh-ed25519",
      blob,
      fingerprint: `SHA256:${expected}`,
    });
    expect(fingerprint(blob)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it.each([
    "",
    "ssh-ed25519",
    "ssh-ed25519 AAAA",
    `ssh-rsa ${ed25519.split(" ")[1]}`,
    "SHA256:abc",
    "ssh-dss AAAAB3NzaC1kc3M=",
  ])("%j is refused", (text) => {
    expect(() => parseHostKey(text)).toThrow("Copy the line of /etc/ssh/ssh_host_ed25519_key.pub");
  });

  it("are read from what ssh-keygen -F prints, hashed names and markers included", () => {
    const stdout =
      `# Host backup found: line 3 \n|1|abc=|def= ${ed25519}\n` +
      `# Host backup found: line 4 REVOKED\n@revoked backup ${ed25519}\n` +
      `# Host backup found: line 5 CA\n@cert-authority backup ${ed25519}\n` +
      `# Host backup found: line 6 \nbackup ssh-dss AAAAB3NzaC1kc3M=\n`;
    const { keys, revoked } = parseKnownHosts(stdout, "known_hosts");
    expect([keys.length, revoked.length]).toEqual([1, 1]);
    expect(() => parseKnownHosts(`@new backup ${ed25519}\n`, "known_hosts")).toThrow("unknown marker @new");
  });

  it("decide what is negotiated", () => {
    expect(offered([parseHostKey(ed25519)])).toEqual(["ssh-ed25519"]);
    expect(offered([])).toContain("rsa-sha2-512");
    expect(offered([])).not.toContain("ssh-rsa");
  });

  it("are looked up by name, and by port where it is not 22", () => {
    expect([knownHostsName("a", 22), knownHostsName("a", 2222)]).toEqual(["a", "[a]:2222"]);
  });
});
