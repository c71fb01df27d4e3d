/** Shell texts that can be run here, with stand-ins for the programs that only a host has. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseSince } from "../../provider/facts/nbdServer";
import { buildSteps } from "../../provider/resources/sourceBuildSteps";
import { render } from "../../provider/template";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "netdisk-shell-"));
  mkdirSync(join(root, "bin"));
});
afterEach(() => rmSync(root, { recursive: true }));

function standIn(program: string, script: string): void {
  const path = join(root, "bin", program);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

const run = (text: string, env: Record<string, string> = {}, ...args: string[]) =>
  spawnSync("/bin/sh", ["-c", text, "sh", ...args], {
    env: { PATH: `${join(root, "bin")}:${process.env.PATH ?? ""}`, ...env },
    encoding: "utf8",
  });

describe("the libraries of nbd-client", () => {
  const step = () =>
    buildSteps({
      name: "nbd",
      repository: "git://git.lab/nbd.git",
      ref: "nbd-3.26.1",
      prefix: "/opt/nbd",
      configure: [],
    }).find(({ title }) => title.startsWith("apt-mark manual"))!.command.text;

  it("are marked, each package once", () => {
    standIn(
      "ldd",
      "echo '\tlibnl-3.so.200 => /lib/libnl-3.so.200 (0x1)'; echo '\tlibc.so.6 => /lib/libc.so.6 (0x2)'",
    );
    standIn("dpkg", 'shift; for file; do echo "lib-of-${file#*/}:amd64: $file"; done');
    standIn("apt-mark", 'echo "$@"');
    expect(run(step()).stdout).toBe("manual lib-of-libc.so.6:amd64 lib-of-libnl-3.so.200:amd64\n");
  });

  it.each(["exit 1", "echo 'not a dynamic executable'"])("are an error when ldd says: %s", (said) => {
    standIn("ldd", said);
    standIn("dpkg", "exit 1");
    standIn("apt-mark", "exit 0");
    expect(run(step()).status).not.toBe(0);
  });
});

it("nbd-server's script notes since which start an export has had its text", () => {
  standIn("ss", "true");
  const includeDir = join(root, "conf.d");
  mkdirSync(includeDir);
  const [config, a, b, since] = ["config", "conf.d/a.conf", "conf.d/b.conf", "lib/since"].map((file) =>
    join(root, file),
  ) as [string, string, string, string];
  const script = render("nbd-server-hook.sh", {
    record: join(root, "run/loaded"),
    since,
    config,
    includeDir,
  });
  const starts = (digit: string): Record<string, string> => {
    const { status, stderr } = run(script, { INVOCATION_ID: digit.repeat(32) }, "prepare");
    expect(status, stderr).toBe(0);
    return Object.fromEntries(
      Object.entries(parseSince(readFileSync(since, "utf8"))).map(([file, start]) => [file, start[0]!]),
    );
  };
  writeFileSync(config, "[generic]\n");
  writeFileSync(a, "[a]\nflush = true\n");
  expect(starts("1")).toEqual({ [a]: "1" });
  writeFileSync(b, "[b]\n");
  expect(starts("2")).toEqual({ [a]: "1", [b]: "2" });
  // Changed by hand, and changed back by `pulumi up`: sessions of start 3 run without flush.
  writeFileSync(a, "[a]\nflush = false\n");
  expect(starts("3")).toEqual({ [a]: "3", [b]: "2" });
  writeFileSync(a, "[a]\nflush = true\n");
  rmSync(b);
  expect(starts("4")).toEqual({ [a]: "4" });
  expect(starts("5")).toEqual({ [a]: "4" });
});
