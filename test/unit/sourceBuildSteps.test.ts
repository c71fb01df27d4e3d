/** Which commit a ref means, and which finished build is taken: the steps' own text against real git repositories. */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { buildManifest } from "../../provider/facts/nbdBuild";
import { buildSteps, forgetBuild } from "../../provider/resources/sourceBuildSteps";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

// A dozen git processes each, on a machine that may have much else to do.
vi.setConfig({ testTimeout: 30_000 });

const build = "/var/lib/netdisk/build";
// Below a path that the sandbox has for itself.
const prefix = "/var/lib/netdisk/opt/nbd";
let shell: StubbedShell;
let repository: string;

const git = (...args: string[]): string => {
  const { status, stdout, stderr } = shell.run(
    `git -C ${repository} -c user.name=n -c user.email=e "$@"`,
    ...args,
  );
  expect(status, stderr).toBe(0);
  return stdout.trim();
};

/** Another commit on the branch. */
const commit = (): string => {
  git("commit", "--quiet", "--allow-empty", "--message", "m");
  return git("rev-parse", "HEAD");
};

const steps = (ref: string, pinned?: string) =>
  buildSteps({ name: "nbd", repository, ref, prefix, configure: ["--enable-syslog"] }, pinned);

const checkout = (ref: string, pinned?: string) => shell.run(commandOf(steps(ref, pinned)[0]));

/** The commit that the steps after the checkout would build. */
const wanted = (): string => shell.read(`${build}/nbd-wanted`)?.split(" ")[0] ?? "";
const isCloned = (): boolean => shell.read(`${build}/nbd/.git/HEAD`) !== undefined;

const program = "a program\n";
const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What `make install` leaves behind of what is wanted now; the source goes, as after a destroy. */
function keepBuild(): void {
  shell.write(`${build}/nbd-stage${prefix}/sbin/nbd-client`, program);
  shell.write(`${build}/nbd-stage/sums`, `${digestOf(program)}  sbin/nbd-client\n`);
  shell.write(`${build}/nbd-stage/key`, shell.read(`${build}/nbd-wanted`)!);
  rmSync(shell.path(`${build}/nbd`), { recursive: true });
}

beforeEach(() => {
  shell = stubbedShell();
  repository = shell.path("repository");
  shell.write("repository/README", "");
  git("init", "--quiet", "--initial-branch=master");
  commit();
});

it.each(["nbd-1", "annotated", "master", "full", "short"])("%s is found and checked out", (ref) => {
  const tip = git("rev-parse", "HEAD");
  git("tag", "nbd-1");
  git("tag", "--annotate", "--message", "m", "annotated");
  const asked = { full: tip, short: tip.slice(0, 12) }[ref] ?? ref;
  expect(checkout(asked)).toMatchObject({ status: 0, stderr: "" });
  expect(wanted()).toBe(tip);
  expect(shell.read(`${build}/nbd/.git/HEAD`)).toBe(`${tip}\n`);
});

it("a ref that is not there is an error that names it", () => {
  const { status, stderr } = checkout("nbd-9");
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /repository has no tag, branch or commit nbd-9\. Correct the ref; .* lists what there is\.\n$/,
  );
});

it("a commit that came after the clone is fetched", () => {
  checkout("master");
  git("checkout", "--quiet", "-b", "work");
  const later = commit();
  expect(checkout(later)).toMatchObject({ status: 0 });
  expect(wanted()).toBe(later);
});

it.each(["nbd-1", "master"])(
  "a finished build of the same commit is taken for %s, without a clone",
  (ref) => {
    git("tag", "nbd-1");
    checkout("nbd-1");
    keepBuild();
    for (const step of steps(ref).slice(0, -2)) {
      expect(shell.run(commandOf(step)), step.title).toMatchObject({ status: 0, stderr: "" });
    }
    expect(isCloned()).toBe(false);
  },
);

it("a finished build is put in place with a manifest that the provider understands", () => {
  git("tag", "nbd-1");
  checkout("nbd-1");
  keepBuild();
  const { stdout, stderr, status: exitCode } = shell.run(commandOf(steps("nbd-1").at(-1)));
  expect(exitCode, stdout + stderr).toBe(0);
  const manifest = shell.read(`${prefix}/.netdisk.json`)!;
  expect(buildManifest.parse({ exitCode, stdout: manifest, stderr }, prefix, "")).toEqual({
    repository,
    ref: "nbd-1",
    configure: ["--enable-syslog"],
    commit: git("rev-parse", "HEAD"),
    programs: { "sbin/nbd-client": digestOf(program) },
  });
  expect(shell.read(`${prefix}/sbin/nbd-client`)).toBe(program);
});

it("a finished build that is not as it was is not taken", () => {
  checkout("master");
  keepBuild();
  shell.write(`${build}/nbd-stage${prefix}/sbin/nbd-client`, "another program\n");
  checkout("master");
  expect(isCloned()).toBe(true);
  const last = steps("master").at(-1);
  expect(shell.run(commandOf(last)).status, "nor put in place").toBe(1);
});

it("a branch is followed when it is asked for, and pinned from then on without a question to anybody", () => {
  const first = git("rev-parse", "HEAD");
  checkout("master");
  keepBuild();
  const second = commit();
  expect(checkout("master", first).status).toBe(0);
  expect(wanted()).toBe(first);
  expect(checkout("master").status).toBe(0);
  expect(wanted()).toBe(second);
  rmSync(repository, { recursive: true });
  expect(checkout("master", second), "built anew of the source that is here").toMatchObject({ status: 0 });
});

it("a tag that moved is refused, naming both commits, and either can be had by its own name", () => {
  git("tag", "nbd-1");
  const before = git("rev-parse", "HEAD");
  checkout("nbd-1");
  keepBuild();
  const after = commit();
  git("tag", "--force", "nbd-1");
  // Also where the source has to be fetched anew for what was pinned.
  rmSync(shell.path(`${build}/nbd-stage`), { recursive: true });
  for (const pinned of [undefined, before]) {
    const { status, stderr } = checkout("nbd-1", pinned);
    expect(status).toBe(1);
    expect(stderr).toContain(`was commit ${before} and is ${after} now: somebody moved it`);
    expect(stderr).toMatch(/`ref: [0-9a-f]{40}` is the new one\.\n$/);
  }
  for (const ref of [before, after]) {
    expect(checkout(ref).status).toBe(0);
    expect(wanted()).toBe(ref);
  }
});

describe("two stacks that build the same at once", () => {
  beforeEach(() => {
    // What autogen.sh, configure and make bring is no part of the repository: a checkout that cleans takes it away.
    shell.write("repository/autogen.sh", "#!/bin/sh\ncp configure.ac configure && chmod +x configure\n");
    shell.write("repository/configure.ac", "#!/bin/sh\ncp Makefile.am Makefile\n");
    shell.write(
      "repository/Makefile.am",
      [
        "all: nbd-client",
        "nbd-client:",
        "\t[ ! -e ../fails ] || { echo half >nbd-client; kill -KILL $$PPID; }",
        "\techo made >>../made; echo program >nbd-client",
        "install: nbd-client",
        `\tmkdir -p $(DESTDIR)${shell.path(prefix)}/bin $(DESTDIR)${shell.path(prefix)}/sbin`,
        `\tcp nbd-client $(DESTDIR)${shell.path(prefix)}/sbin`,
        "",
      ].join("\n"),
    );
    shell.run(`chmod +x ${repository}/autogen.sh`);
    git("add", "-A");
    commit();
    shell.stub("ldd", "echo 'libc.so.6 => /lib/libc.so.6 (0x0)'");
    shell.stub("dpkg", "echo libc6: /lib/libc.so.6");
    shell.stub("apt-mark", "");
  });

  const all = () =>
    buildSteps({ name: "nbd", repository, ref: "master", prefix: shell.path(prefix), configure: [] });
  const take = (from: number, to = all().length) => {
    for (const step of all().slice(from, to))
      expect(shell.run(commandOf(step)), step.title).toMatchObject({ status: 0 });
  };
  const made = () => shell.read(`${build}/made`);
  const expectBuilt = () => {
    expect(shell.read(`${prefix}/sbin/nbd-client`)).toBe("program\n");
    expect(shell.read(`${build}/nbd/.git/netdisk-done`)).toBeUndefined();
  };

  it.each([1, 2, 3, 4, 5, 6, 7])("get it, one of them coming after %d steps of the other", (done) => {
    take(0, done);
    take(0, 1);
    take(done);
    take(1);
    expectBuilt();
    expect(made()).toBe("made\n");
  });

  it("get it step by step in turn", () => {
    for (let i = 0; i < all().length; i++) {
      take(i, i + 1);
      take(i, i + 1);
    }
    expectBuilt();
    expect(made()).toBe("made\n");
  });

  it("begin anew after a step that was ended half-way, which the other one does not go on with", () => {
    take(0, 4);
    shell.write(`${build}/fails`, "");
    expect(shell.run(commandOf(all()[4])).status).not.toBe(0);
    rmSync(shell.path(`${build}/fails`));
    const { status, stderr } = shell.run(commandOf(all()[4]));
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /\/nbd has changed under our hands, or a step .* was ended\. Run `pulumi up` again\.\n$/,
    );
    take(0);
    expectBuilt();
  });

  it("do not go on with what was done before the last boot", () => {
    take(0, 5);
    const file = `${build}/nbd/.git/netdisk-done`;
    shell.write(file, shell.read(file)!.replace(/ \S+\n/, " another-boot\n"));
    take(0);
    expect(made()).toBe("made\nmade\n");
  });

  it("forget a build that does not run, and not the one that the other has just made", () => {
    take(0);
    const forget = () => shell.run(commandOf(forgetBuild(shell.path(prefix))));
    const staged = `${build}/nbd-stage${shell.path(prefix)}/sbin/nbd-client`;
    shell.write(`${prefix}/sbin/nbd-client`, "does not run\n");
    forget();
    expect(shell.read(staged)).toBe("program\n");
    take(7);
    forget();
    expect(shell.read(staged)).toBeUndefined();
  });
});
