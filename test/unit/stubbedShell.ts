/** Runs the text that a host would run, in a directory of its own, with stand-ins for the tools that need a real host. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { Step } from "../../provider/resource";

export interface Ended {
  status: number;
  stdout: string;
  stderr: string;
}

export interface StubbedShell {
  /** A path in the directory; `/` in the host's texts is led there for the paths that netdisk uses. */
  path(name: string): string;
  write(name: string, content: string | Buffer): void;
  read(name: string): string | undefined;
  /** A program of this name whose body is sh; each call is noted with its arguments. */
  stub(name: string, body: string): void;
  /** Calls of the stubs so far, `NAME ARGUMENTS` each. */
  calls(): string[];
  run(text: string, ...args: string[]): Ended;
}

export const commandOf = (step: Step | undefined): string => {
  if (step?.do !== "run") throw new Error("not a command");
  return step.command.text;
};

const cleanUp: string[] = [];
afterEach(() => cleanUp.splice(0).forEach((root) => rmSync(root, { recursive: true, force: true })));

export function stubbedShell(): StubbedShell {
  const root = mkdtempSync(join(tmpdir(), "netdisk-shell-"));
  cleanUp.push(root);
  for (const folder of ["bin", "run", "dev", "etc", "var"]) mkdirSync(join(root, folder));
  const path = (name: string) => join(root, name);
  const write = (name: string, content: string | Buffer) => {
    mkdirSync(join(path(name), ".."), { recursive: true });
    writeFileSync(path(name), content);
  };
  const stub = (name: string, body: string) =>
    writeFileSync(join(root, "bin", name), `#!/bin/sh\necho "${name} $*" >>${root}/calls\n${body}\n`, {
      mode: 0o755,
    });
  // A file stands for a device: it has a size, and this file system need not know O_DIRECT.
  writeFileSync(join(root, "bin/blockdev"), `#!/bin/sh\nexec stat -c %s "$2"\n`, { mode: 0o755 });
  writeFileSync(
    join(root, "bin/dd"),
    // Without a process for each word: some texts call it hundreds of times.
    `#!/bin/sh\nfor word; do shift; case $word in iflag=direct) ;; iflag=direct,*) set -- "$@" "iflag=\${word#*,}" ;; *) set -- "$@" "$word" ;; esac; done\nexec /bin/dd "$@"\n`,
    { mode: 0o755 },
  );
  return {
    path,
    write,
    stub,
    read: (name) => (existsSync(path(name)) ? readFileSync(path(name), "utf8") : undefined),
    calls: () => (existsSync(path("calls")) ? readFileSync(path("calls"), "utf8").trimEnd().split("\n") : []),
    run(text, ...args) {
      const led = text
        .replaceAll(
          /(?<![\w/.-])\/(dev\/(?:netdisk|mapper)|run\/netdisk|etc\/netdisk|var\/lib\/netdisk|sys\/(?:class|block|fs\/cgroup)|mnt)/g,
          `${root}/$1`,
        )
        .replaceAll("[ -b ", "[ -e ")
        .replaceAll("[ ! -b ", "[ ! -e ")
        .replaceAll("test -b ", "test -e ");
      const { status, signal, stdout, stderr } = spawnSync("/bin/sh", ["-c", led, "sh", ...args], {
        cwd: root,
        env: { LC_ALL: "C", PATH: `${root}/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
        encoding: "utf8",
      });
      if (signal) throw new Error(`ended by ${signal}`);
      return { status: status ?? -1, stdout, stderr };
    },
  };
}
