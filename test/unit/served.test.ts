/** Whether a file is served already, and which paths are one file, as the shell text that a host runs. */
import { linkSync, symlinkSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { served } from "../../provider/facts/handMade";
import { sameFile } from "../../provider/facts/sameFile";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

let shell: StubbedShell;
const at = (name: string) => shell.path(`var/lib/netdisk/${name}`);

beforeEach(() => {
  shell = stubbedShell();
  for (const name of ["photos.img", "other.img"]) shell.write(`var/lib/netdisk/${name}`, name);
  symlinkSync(at("photos.img"), at("symbolic"));
  linkSync(at("photos.img"), at("hard"));
});

describe("a file that is to be taken", () => {
  const own = ["/etc/nbd-server/conf.d/video.conf", "/etc/netdisk/serve/video.conf"];
  const found = (byNumber = false) => {
    const text = served.command("/var/lib/netdisk/photos.img", own, byNumber).text;
    const { status, stdout, stderr } = shell.run(
      text.replaceAll("/etc/nbd-server", shell.path("etc/nbd-server")),
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout.replaceAll(shell.path(""), "");
  };
  const serve = (file: string, exportName: string) =>
    shell.write(file, `[generic]\n\tport = 0\n[disk]\n\texportname = ${exportName}\n`);

  it.each(["photos.img", "symbolic", "hard"])("is served by another disk's session as %s", (name) => {
    serve("etc/netdisk/serve/photos.conf", at(name));
    serve("etc/netdisk/serve/other.conf", at("other.img"));
    expect(found()).toBe(`/etc/netdisk/serve/photos.conf (exportname = /var/lib/netdisk/${name})\n`);
  });

  it("is served to everybody, by hand or as another disk", () => {
    serve("etc/nbd-server/config", at("photos.img"));
    serve("etc/nbd-server/conf.d/photos.conf", at("photos.img"));
    expect(found().split("\n")).toEqual([
      "/etc/nbd-server/config (exportname = /var/lib/netdisk/photos.img)",
      "/etc/nbd-server/conf.d/photos.conf (exportname = /var/lib/netdisk/photos.img)",
      "",
    ]);
  });

  it("is not served by what this very disk has there, nor where there is nothing", () => {
    expect(found()).toBe("");
    for (const file of own) serve(file, at("photos.img"));
    expect(found()).toBe("");
  });

  it("may be served by the number of a loop device where it was made by hand", () => {
    serve("etc/nbd-server/conf.d/local.conf", "/dev/loop9");
    expect(found()).toBe("");
    expect(found(true)).toBe("/etc/nbd-server/conf.d/local.conf (exportname = /dev/loop9)\n");
  });
});

it("a file has many paths", () => {
  const others = ["/var/lib/netdisk/symbolic", "/var/lib/netdisk/other.img", "/var/lib/netdisk/hard"];
  const { stdout } = shell.run(sameFile.command("/var/lib/netdisk/photos.img", others).text);
  expect(stdout).toBe("0\n2\n");
  expect(shell.run(sameFile.command("/var/lib/netdisk/none.img", others).text).stdout).toBe("");
});
