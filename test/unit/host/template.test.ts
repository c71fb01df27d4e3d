import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fill, raw, render, systemdPath, systemdText, systemdWord } from "../../../provider/template";

describe("fill", () => {
  it("fills every hole, as often as it is there", () => {
    expect(fill("x.conf", "[{{name}}]\nsize = {{size}}\n# {{name}}\n", { name: "photos", size: 4096 })).toBe(
      "[photos]\nsize = 4096\n# photos\n",
    );
  });

  it("takes a value literally, dollar signs and braces included", () => {
    expect(fill("x.conf", "a {{v}} b", { v: "$& {{v}} $1" })).toBe("a $& {{v}} $1 b");
  });

  it("throws for a hole without a value, also when the name is of Object's own", () => {
    expect(() => fill("x.conf", "{{name}} {{nmae}}", { name: "a" })).toThrow(
      "templates/x.conf: nothing for {{nmae}}",
    );
    expect(() => fill("x.conf", "{{constructor}}", {})).toThrow("nothing for {{constructor}}");
    expect(() => fill("x.conf", "{{ name }}", { name: "a" })).toThrow("nothing for {{ name }}");
  });

  it("throws for a value without a hole", () => {
    expect(() => fill("x.conf", "{{a}}", { a: "1", b: "2", c: "3" })).toThrow(
      "templates/x.conf: no {{b}}, no {{c}}",
    );
  });

  it("lets no value start a new line", () => {
    for (const file of ["x.conf", "x.service"])
      expect(() => fill(file, "a = {{a}}", { a: "1\n[other]" })).toThrow(`templates/${file}: {{a}}: `);
  });

  it("quotes for the shell in a script and for systemd in a unit", () => {
    expect(fill("x.sh", "cat {{path}}", { path: "/a b%$" })).toBe("cat '/a b%$'");
    expect(fill("x.service", "ExecStart=cat {{path}}", { path: "/a b%$" })).toBe(`ExecStart=cat "/a b%%$$"`);
  });

  it("leaves raw text alone", () => {
    expect(fill("x.service", "{{lines}}", { lines: raw("A=1\nB=%h") })).toBe("A=1\nB=%h");
  });
});

describe("systemd", () => {
  it.each([
    ["/usr/bin/ssh", "/usr/bin/ssh"],
    ["netdisk@photos.service", "netdisk@photos.service"],
    ["", `""`],
    ["a b", `"a b"`],
    ["100%", `"100%%"`],
    ["$HOME", `"$$HOME"`],
    [`say "hi"`, `"say \\"hi\\""`],
    ["it's", `"it's"`],
    ["a\\b", `"a\\\\b"`],
    [";", `";"`],
  ])("word %s is %s", (value, expected) => {
    expect(systemdWord(value)).toBe(expected);
  });

  it.each([
    ["/mnt/my disks", `"/mnt/my disks"`],
    ["/mnt/$a%b", `"/mnt/$a%%b"`],
    ["/", "/"],
  ])("path %s is %s", (value, expected) => {
    expect(systemdPath(value).text).toBe(expected);
  });

  it("text only doubles the sign of specifiers", () => {
    expect(systemdText(`/mnt/a b 100% "x"`).text).toBe(`/mnt/a b 100%% "x"`);
    expect(() => systemdText("a\\")).toThrow("end in");
  });
});

describe("render", () => {
  it("finds the templates, and names the one that is incomplete", () => {
    const [file] = readdirSync("templates").filter((name) => name.endsWith(".service"));
    expect(() => render(file!, {})).toThrow(`templates/${file}: nothing for {{`);
  });
});
