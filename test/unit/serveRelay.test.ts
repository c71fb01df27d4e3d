/** The relay of a session, between a client and an nbd-server that this test plays, byte by byte. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { part, render } from "../../provider/template";

const bytesOf = (...parts: (string | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((word) => (typeof word === "string" ? Buffer.from(word) : word)));
const u16 = (n: number) => Buffer.from([n >> 8, n & 255]);
const u32 = (n: number) => Buffer.from([n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255]);
const u64 = (n: number) => bytesOf(u32(0), u32(n));

const greeting = bytesOf("NBDMAGICIHAVEOPT", u16(3));
const option = (kind: number, data: Buffer = Buffer.alloc(0)) =>
  bytesOf("IHAVEOPT", u32(kind), u32(data.length), data);
const optionReply = (kind: number, type: number, data: Buffer = Buffer.alloc(0)) =>
  bytesOf(Buffer.from("0003e889045565a9", "hex"), u32(kind), u32(type), u32(data.length), data);
const info = (flags: number) => optionReply(7, 3, bytesOf(u16(0), u64(1 << 20), u16(flags)));
const request = (command: number, cookie: number, { fua = false, length = 0 } = {}) =>
  bytesOf(u32(0x25609513), u16(fua ? 1 : 0), u16(command), u64(cookie), u64(0), u32(length));
const reply = (cookie: number, error = 0) => bytesOf(u32(0x67446698), u32(error), u64(cookie));
const chunk = (cookie: number, type: number, data: Buffer = Buffer.alloc(0)) =>
  bytesOf(u32(0x668e33ef), u16(1), u16(type), u64(cookie), u32(data.length), data);
const ownFlush = bytesOf(u32(0x25609513), u16(0), u16(3), "netdisk\0", Buffer.alloc(12));
const ownReply = (error = 0) => bytesOf(u32(0x67446698), u32(error), "netdisk\0");
/** Not the last one, with `more`. */
const ownChunk = (type: number, data: Buffer = Buffer.alloc(0), more = false) =>
  bytesOf(u32(0x668e33ef), u16(more ? 0 : 1), u16(type), "netdisk\0", u32(data.length), data);
const failed = (error: number, message = "") => bytesOf(u32(error), u16(message.length), message);
const [read, write, flush] = [0, 1, 3];
const [hasFlags, readOnly, canFlush, canFua] = [1, 2, 4, 8];

/** What one side has received, in order. */
class Side {
  got: Buffer = Buffer.alloc(0);
  constructor(readonly send: (bytes: Buffer) => void) {}
  take = (bytes: Buffer): void => {
    this.got = Buffer.concat([this.got, bytes]);
  };
  async receives(...parts: Buffer[]): Promise<void> {
    const wanted = Buffer.concat(parts);
    for (let tries = 0; this.got.length < wanted.length && tries < 200; tries++) await sleep(10);
    const now = this.got.subarray(0, wanted.length);
    this.got = this.got.subarray(wanted.length);
    expect(now.toString("hex")).toBe(wanted.toString("hex"));
  }
  async receivesNothing(): Promise<void> {
    await sleep(100);
    expect(this.got.toString("hex")).toBe("");
  }
}

let dir: string;
let listener: Server;
let child: ChildProcessWithoutNullStreams;
let client: Side;
let server: Side;
let end: () => void;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "netdisk-relay-"));
  const socket = join(dir, "s");
  listener = createServer();
  await new Promise<void>((done) => listener.listen(socket, done));
  const script = render("serve-relay.pl", { name: "t1", user: "u", socket, relay: part("nbd-relay.pl") });
  const connection = new Promise<Socket>((done) => listener.once("connection", done));
  const asked = `serve ${"a".repeat(16)} ${"b".repeat(32)} box`;
  child = spawn("perl", ["-e", script, "c".repeat(16)], { env: { SSH_ORIGINAL_COMMAND: asked } });
  client = new Side((bytes) => child.stdin.write(bytes));
  child.stdout.on("data", client.take);
  const peer = await connection;
  server = new Side((bytes) => peer.write(bytes));
  peer.on("data", server.take);
  end = () => peer.end();
  await server.receives(bytesOf(`serve ${"c".repeat(16)} ${asked.slice(6)}\n`));
  server.send(bytesOf("ok\n", greeting));
  await client.receives(greeting);
});

afterEach(async () => {
  child.kill("SIGKILL");
  await new Promise((done) => listener.close(done));
  rmSync(dir, { recursive: true });
});

async function transmission(flags = hasFlags | canFlush, announced = flags | canFua): Promise<void> {
  client.send(bytesOf(u32(3), option(8), option(7, Buffer.alloc(8))));
  await server.receives(u32(3), option(8), option(7, Buffer.alloc(8)));
  server.send(bytesOf(optionReply(8, 1), info(flags), optionReply(7, 1)));
  await client.receives(optionReply(8, 1), info(announced), optionReply(7, 1));
}

describe("the relay", () => {
  it("carries out FUA by a FLUSH, and gives the change the FLUSH's error", async () => {
    await transmission();
    for (const error of [0, 5]) {
      client.send(bytesOf(request(write, 1, { fua: true, length: 4 }), "data"));
      await server.receives(request(write, 1, { length: 4 }), bytesOf("data"));
      server.send(reply(1));
      await server.receives(ownFlush);
      await client.receivesNothing();
      server.send(ownReply(error));
      await client.receives(reply(1, error));
    }
  });

  it("understands a server that answers changes in chunks, and one that refuses", async () => {
    await transmission();
    client.send(bytesOf(request(write, 1, { fua: true, length: 1 }), "x"));
    await server.receives(request(write, 1, { length: 1 }), bytesOf("x"));
    server.send(chunk(1, 0));
    await server.receives(ownFlush);
    server.send(ownReply());
    await client.receives(reply(1));
    const failure = chunk(2, 0x8001, bytesOf(u32(28), u16(0)));
    client.send(bytesOf(request(write, 2, { fua: true, length: 1 }), "y"));
    await server.receives(request(write, 2, { length: 1 }), bytesOf("y"));
    server.send(failure);
    await client.receives(failure);
    await server.receivesNothing();
  });

  it.each([
    ["well", 0, [ownChunk(0)]],
    ["with an error", 28, [ownChunk(0x8001, failed(28, "no space"))]],
    ["with an error that an end without one follows", 28, [ownChunk(0x8001, failed(28), true), ownChunk(0)]],
    ["by what is no answer to a FLUSH", 5, [ownChunk(1, Buffer.alloc(8))]],
  ])("understands a server that answers its FLUSH in chunks, %s", async (_, error, chunks) => {
    await transmission();
    client.send(request(flush, 1));
    await server.receives(ownFlush);
    client.send(request(flush, 2));
    for (const byte of Buffer.concat(chunks)) {
      server.send(Buffer.from([byte]));
      await sleep(1);
    }
    await client.receives(reply(1, error));
    await server.receives(ownFlush);
    server.send(ownReply());
    await client.receives(reply(2));
  });

  it("never has two FLUSHes under way: who comes meanwhile shares the next one, and its error", async () => {
    await transmission();
    client.send(request(flush, 1));
    await server.receives(ownFlush);
    client.send(
      bytesOf(request(flush, 2), request(write, 3, { fua: true, length: 1 }), "x", request(flush, 4)),
    );
    await server.receives(request(write, 3, { length: 1 }), bytesOf("x"));
    server.send(reply(3));
    await server.receivesNothing();
    server.send(ownReply());
    await client.receives(reply(1));
    await server.receives(ownFlush);
    server.send(ownReply(5));
    await client.receives(reply(2, 5), reply(4, 5), reply(3, 5));
    await server.receivesNothing();
  });

  it("keeps its FLUSH out of a write whose data has come in part", async () => {
    await transmission();
    client.send(
      bytesOf(request(write, 1, { fua: true, length: 1 }), "x", request(write, 2, { length: 4 }), "ab"),
    );
    await server.receives(
      request(write, 1, { length: 1 }),
      bytesOf("x"),
      request(write, 2, { length: 4 }),
      bytesOf("ab"),
    );
    server.send(reply(1));
    await server.receivesNothing();
    client.send(bytesOf("cd", request(read, 3)));
    await server.receives(bytesOf("cd"), ownFlush, request(read, 3));
  });

  it("hands on everything else as it is, however it arrives", async () => {
    await transmission();
    const asked = bytesOf(request(write, 1, { length: 5 }), "12345", request(read, 2, { length: 3 }));
    for (const byte of asked) {
      client.send(Buffer.from([byte]));
      await sleep(1);
    }
    await server.receives(asked);
    const answers = bytesOf(reply(1), chunk(2, 1, bytesOf(u64(0), "abc")));
    for (const byte of answers) {
      server.send(Buffer.from([byte]));
      await sleep(1);
    }
    await client.receives(answers);
    const big = Buffer.alloc(3 << 20, 7);
    client.send(bytesOf(request(write, 3, { length: big.length }), big));
    await server.receives(request(write, 3, { length: big.length }), big);
  });

  it("answers each of a thousand requests once, with FUA only behind a FLUSH, in pieces of any size", async () => {
    await transmission();
    // The server: parses strictly, answers in any order, and knows what was safe when.
    const written = new Map<number, { data: string; done: boolean; safe: boolean }>();
    let pending: (() => Buffer)[] = [];
    let flushing = false;
    const serve = () => {
      for (;;) {
        if (server.got.length < 28) return;
        expect(server.got.readUInt32BE(0)).toBe(0x25609513);
        const [flags, command, low] = [4, 6, 12].map((at) => server.got.readUInt16BE(at)) as [
          number,
          number,
          number,
        ];
        expect(flags).toBe(0);
        const cookie = server.got.readUInt32BE(12);
        const length = command === write ? server.got.readUInt32BE(24) : 0;
        if (server.got.length < 28 + length) return;
        const data = server.got.subarray(28, 28 + length).toString();
        server.got = server.got.subarray(28 + length);
        if (command === flush) {
          expect([flushing, low]).toEqual([false, ownFlush.readUInt16BE(12)]);
          flushing = true;
          const covered = [...written.values()].filter(({ done }) => done);
          pending.push(() => {
            for (const one of covered) one.safe = true;
            flushing = false;
            return dice(2) === 0 ? ownReply() : ownChunk(0);
          });
        } else {
          const one = { data, done: false, safe: false };
          written.set(cookie, one);
          pending.push(() => {
            one.done = true;
            return reply(cookie);
          });
        }
      }
    };
    const answered = new Set<number>();
    const fua = new Set<number>();
    const hear = () => {
      for (; client.got.length >= 16; client.got = client.got.subarray(16)) {
        expect(client.got.readUInt32BE(0)).toBe(0x67446698);
        const cookie = client.got.readUInt32BE(12);
        expect(answered.has(cookie)).toBe(false);
        answered.add(cookie);
        if (fua.has(cookie)) expect(written.get(cookie)?.safe).toBe(true);
      }
    };
    const dice = (n: number) => Math.floor(Math.random() * n);
    const asked: Buffer[] = [];
    for (let cookie = 1; cookie <= 1000; cookie++) {
      if (dice(10) === 0) asked.push(request(flush, cookie));
      else {
        const data = String(cookie).repeat(1 + dice(40));
        if (dice(3) === 0) fua.add(cookie);
        asked.push(bytesOf(request(write, cookie, { fua: fua.has(cookie), length: data.length }), data));
      }
    }
    let bytes = Buffer.concat(asked);
    for (let idle = 0; idle < 500 && answered.size < 1000; idle++) {
      const piece = bytes.subarray(0, 1 + dice(2000));
      bytes = bytes.subarray(piece.length);
      if (piece.length > 0) client.send(piece);
      await sleep(1);
      serve();
      pending = pending.sort(() => Math.random() - 0.5);
      const answers = Buffer.concat(pending.splice(0, dice(60)).map((answer) => answer()));
      const cut = dice(answers.length + 1);
      server.send(answers.subarray(0, cut));
      server.send(answers.subarray(cut));
      await sleep(1);
      hear();
      if (piece.length > 0) idle = 0;
    }
    expect(answered.size).toBe(1000);
    for (const [cookie, { data }] of written) expect(data.replaceAll(String(cookie), "")).toBe("");
  });

  it("knows the data of a simple reply from the next reply", async () => {
    client.send(bytesOf(u32(3), option(7)));
    await server.receives(u32(3), option(7));
    server.send(bytesOf(info(hasFlags | canFlush), optionReply(7, 1)));
    await client.receives(info(hasFlags | canFlush | canFua), optionReply(7, 1));
    client.send(bytesOf(request(read, 1, { length: 16 }), request(read, 2, { length: 16 })));
    await server.receives(request(read, 1, { length: 16 }), request(read, 2, { length: 16 }));
    const answers = bytesOf(reply(1), ownReply(), reply(2, 5));
    server.send(answers);
    await client.receives(answers);
  });

  it.each([
    ["read-only", hasFlags | canFlush | readOnly],
    ["without FLUSH", hasFlags],
  ])("announces no FUA for an export that is %s", (_, flags) => transmission(flags, flags));

  it("hands on nbd-server's last words, and ends with it", async () => {
    await transmission();
    client.send(request(read, 1));
    await server.receives(request(read, 1));
    const ended = new Promise((done) => child.on("exit", done));
    server.send(chunk(1, 0));
    end();
    await client.receives(chunk(1, 0));
    expect(await ended).toBe(0);
  });

  it("ends with a reason when the client speaks something else", async () => {
    await transmission();
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    client.send(Buffer.alloc(28, 65));
    expect(await new Promise((done) => child.on("close", done))).toBe(1);
    expect(said).toBe("netdisk-serve: t1: the client sent no request\n");
  });
});
