/**
 * 64 KiB of the disk at a known place, which is written past every cache and read back from everywhere: through the
 * file system, as cipher text that the server hands to the client, and as cipher text in the backing.
 */
import { expect } from "vitest";
import { sh } from "../../../provider/host/sh";
import { extentsOf } from "./extents";
import { on, startOn } from "./lab";
import { name, path } from "./outage";
import type { Running } from "./run";

const bytes = 64 * 1024;
const block = 4096;
const file = `${path}/sample`;
const source = (content: string): string => `/root/sample.${content}`;

export interface Sample {
  /** Makes it hold that content, for certain. */
  write(content: string): Promise<void>;
  /** The same without waiting. */
  startWrite(content: string): Running;
  /** Checksums of what is there. */
  seen(): Promise<{ file: string; device: string; backing: string }>;
  /** First block, of 4 KiB, on the client's block device and in the backing. */
  block: number;
}

/** A few bytes at random under each name, the same for as long as the client lives. */
async function make(content: string): Promise<void> {
  await on("client", sh`f=${source(content)}; test -s "$f" || head -c ${bytes} /dev/urandom >"$f"`.text);
}

const copy = (content: string): string =>
  sh`dd if=${source(content)} of=${file} bs=${bytes} oflag=direct conv=notrunc,fsync status=none`.text;

/** `contents`: what it can be made to hold; the first is there at once. */
export async function startSample(backing: string, ...contents: [string, ...string[]]): Promise<Sample> {
  for (const content of contents) await make(content);
  await on("client", copy(contents[0]));
  const [extent, ...more] = await extentsOf("client", file);
  expect(more).toEqual([]);
  // Of a mapping `crypt`: where on the device its data begins, in sectors.
  const begin = Number(await on("client", `dmsetup table ${name} | awk '$3 == "crypt" { print $8 }'`));
  const first = ((extent?.start ?? NaN) + begin) / (block / 512);
  expect(Number.isInteger(first)).toBe(true);
  const sum = (from: string, skip: number, flags: string): string =>
    sh`dd if=${from} bs=${block} skip=${skip} count=${bytes / block} ${flags} status=none | sha256sum | cut -c -64`
      .text;
  return {
    block: first,
    startWrite: (content) => startOn("client", copy(content)),
    async write(content) {
      await on("client", copy(content));
    },
    async seen() {
      await on("client", "echo 3 >/proc/sys/vm/drop_caches");
      return {
        file: await on("client", sum(file, 0, "iflag=direct")),
        device: await on("client", sum(`/dev/netdisk/${name}`, first, "iflag=direct")),
        // The server's programs share one cache, which is what the client is served from.
        backing: await on("server", sum(backing, first, "iflag=fullblock")),
      };
    },
  };
}
