import { describe, expect, it } from "vitest";
import { beginNotice, lockNotice, wrap } from "../../../provider/host/commands";
import { Output, outputLimit } from "../../../provider/host/output";
import { sh } from "../../../provider/host/sh";
import { Turns } from "../../../provider/host/turns";

describe("wrap", () => {
  it("keeps the command readable, as root", () => {
    expect(wrap(sh`losetup -l`, { run: "ab12", as: "root" })).toBe(
      "exec env LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NETDISK_RUN=ab12 sh -c 'umask 022\n" +
        `echo '\\''netdisk: begin ab12'\\''; echo '\\''netdisk: begin ab12'\\'' >&2\nlosetup -l'`,
    );
    expect(wrap(sh`id`, { run: "ab12", as: "sudo" })).toMatch(/^exec sudo -n -- env /);
    expect(wrap(sh`id`, { run: "ab12", as: "sudo with password" })).toMatch(/^exec sudo -S -p '' -- env /);
  });

  it("takes locks in their order on descriptors that the command inherits", () => {
    const text = wrap(sh`apt-get update`, { run: "a", as: "root", locks: ["packages", "apt"] });
    expect(text).toContain(
      "exec 9>>/run/netdisk/lock/packages && flock 9 && exec 8>>/run/netdisk/lock/apt && flock 8 &&",
    );
  });

  it.each(["", "../x", "a b", "-x", "a/b"])("refuses %j as the name of a lock", (lock) => {
    expect(() => wrap(sh`id`, { run: "a", as: "root", locks: [lock] })).toThrow("no name for a lock");
  });
});

describe("Output", () => {
  const notice = lockNotice(["apt"]);

  it("puts characters that arrive in halves together", () => {
    const lines: string[] = [];
    const output = new Output((line) => lines.push(line));
    const bytes = Buffer.from("ü\nö");
    for (const byte of bytes) output.add(Buffer.of(byte));
    expect(lines).toEqual(["ü"]);
    expect(output.end()).toEqual(bytes);
    expect(lines).toEqual(["ü", "ö"]);
  });

  it.each([1, 7, 1000])("takes the notice out, however it is cut (%i bytes at a time)", (size) => {
    const lines: string[] = [];
    let seen = 0;
    const output = new Output((line) => lines.push(line));
    output.expect(notice, () => seen++);
    const bytes = Buffer.from(`${notice}warning\n`);
    for (let at = 0; at < bytes.length; at += size) output.add(bytes.subarray(at, at + size));
    expect([output.end().toString(), seen, lines]).toEqual(["warning\n", 1, ["warning"]]);
  });

  it("keeps what was said where the notice does not come", () => {
    const output = new Output();
    output.expect(notice, () => expect.unreachable());
    output.add(Buffer.from("netdisk: "));
    output.add(Buffer.from("not allowed\n"));
    expect(output.end().toString()).toBe("netdisk: not allowed\n");
  });

  it("keeps no more than its limit, however much comes", () => {
    const output = new Output();
    const chunk = Buffer.alloc(outputLimit / 4);
    for (let i = 0; i < 6; i++) output.add(chunk);
    expect([output.size, output.end().length]).toEqual([outputLimit * 1.5, outputLimit]);
  });

  it.each([1, 7, 1000])("drops what others said before it (%i bytes at a time)", (size) => {
    const lines: string[] = [];
    const output = new Output((line) => lines.push(line));
    output.expect(beginNotice("ab12"));
    output.expect(notice);
    const bytes = Buffer.from(`Welcome!\n${beginNotice("ab12")}${notice}warning\n`);
    for (let at = 0; at < bytes.length; at += size) output.add(bytes.subarray(at, at + size));
    expect([output.end().toString(), lines]).toEqual(["warning\n", ["warning"]]);
  });
});

describe("Turns", () => {
  it("never lets in more than its places, in order, and survives a double end", async () => {
    const turns = new Turns(2);
    const order: number[] = [];
    let inside = 0;
    let most = 0;
    await Promise.all(
      [0, 1, 2, 3, 4].map(async (n) => {
        const done = await turns.take();
        order.push(n);
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setTimeout(resolve, 5));
        inside--;
        done();
        done();
      }),
    );
    expect([order, most]).toEqual([[0, 1, 2, 3, 4], 2]);
  });
});
