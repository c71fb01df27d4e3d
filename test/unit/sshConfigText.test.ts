/** The configuration of a session's ssh, as ssh itself understands it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { raw, render } from "../../provider/template";

it("prefers AES-GCM where the processor has instructions for it, and keeps what stands above", () => {
  const directory = mkdtempSync(join(tmpdir(), "netdisk-ssh-"));
  try {
    const file = join(directory, "ssh_config");
    const values = {
      name: "t1",
      host: "nas.example.org",
      port: "2222",
      user: "u",
      key: "/k",
      knownHosts: "/h",
    };
    writeFileSync(file, render("session.ssh_config", { ...values, proxy: raw("") }));
    const understood = execFileSync("ssh", ["-G", "-F", file, "server"], { encoding: "utf8" }).split("\n");
    expect(understood).toEqual(
      expect.arrayContaining(["hostname nas.example.org", "port 2222", "serveralivecountmax 3"]),
    );
    const [first = ""] = understood.filter((line) => line.startsWith("ciphers "));
    const hasAes = /\baes\b/.test(readFileSync("/proc/cpuinfo", "utf8"));
    expect(first.startsWith("ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,")).toBe(hasAes);
    // For a server that offers neither.
    expect(first).toContain("chacha20-poly1305@openssh.com");
  } finally {
    rmSync(directory, { recursive: true });
  }
});
