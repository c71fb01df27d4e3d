/** What the kernel says of the nbd device that a link leads to, and of the nbd-client that holds it. */
import type { Fact } from "../fact";
import { sh } from "../host/sh";

export interface NbdDevice {
  /** `/dev/nbd0`. Changes from connection to connection. */
  path: string;
  /** Bytes. */
  size: number;
  /** Bytes. */
  logicalBlockSize: number;
  /** KiB; that of a mapping above, through which files are read, where it is less. */
  readAhead: number;
  /** The server announced NBD_CMD_FLUSH: the kernel flushes, and an fsync means something. */
  flush: boolean;
  /** What the attach script knew of the export when it made the connection (templates/attach.sh); empty: nothing. */
  revision: string;
  /** Command line of the nbd-client that holds the connection. */
  client: string[];
}

const keys = ["path", "sectors", "block", "readahead", "cache", "revision"] as const;

/** Undefined where there is no link, or it leads to a device without a live connection. */
export const nbdDevice: Fact<[link: string], NbdDevice | undefined> = {
  name: "nbd.device",
  command: (link) => sh`if ! test -L ${link}; then exit 44; fi
path=$(readlink -f ${link}) && dir=/sys/block/\${path##*/} || exit 1
if ! test -d "$dir"; then exit 44; fi
if ! pid=$(cat "$dir/pid"); then if test -e "$dir/pid"; then exit 1; else exit 44; fi; fi
if ! test -d "/proc/$pid"; then exit 44; fi
echo "path=$path" && echo "sectors=$(cat "$dir/size")" && echo "block=$(cat "$dir/queue/logical_block_size")" && echo "readahead=$(cat "$dir"/queue/read_ahead_kb "$dir"/holders/*/queue/read_ahead_kb 2>/dev/null | sort -n | head -n 1)" && echo "cache=$(cat "$dir/queue/write_cache")" && echo "revision=$(tr '\\000' '\\n' <"/proc/$pid/environ" | sed -n 's/^NETDISK_REVISION=//p')" && tr '\\000' '\\n' <"/proc/$pid/cmdline"`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    if (exitCode !== 0) throw new Error("sysfs could not be read");
    const lines = stdout.trimEnd().split("\n");
    const values = keys.map((key, i) => {
      const match = /^([a-z]+)=(.*)$/.exec(lines[i] ?? "");
      if (match?.[1] !== key || match[2] === undefined || (match[2] === "" && key !== "revision"))
        throw new Error(`expected ${key}=: ${lines[i] ?? ""}`);
      return match[2];
    });
    const [path = "", sectorsText, blockText, readAheadText, cache, revision = ""] = values;
    if (!/^\/dev\/nbd[0-9]+$/.test(path)) throw new Error(`${path} is no nbd device`);
    const [sectors = 0, logicalBlockSize = 0, readAhead = 0] = [sectorsText, blockText, readAheadText].map(
      (text = "") => {
        if (!/^[0-9]+$/.test(text)) throw new Error(`${text} is no number`);
        return Number(text);
      },
    );
    if (cache !== "write back" && cache !== "write through") throw new Error(`write_cache is ${cache}`);
    const flush = cache === "write back";
    const client = lines.slice(keys.length);
    return { path, size: sectors * 512, logicalBlockSize, readAhead, flush, revision, client };
  },
};

export type SessionDevice = Pick<NbdDevice, "size" | "logicalBlockSize" | "readAhead" | "flush">;

/**
 * The device that hangs on a session. Undefined where there is no link, or it leads to a device without a connection or
 * with another one than `note` (templates/attached.sh) tells of.
 */
export const sessionDevice: Fact<[link: string, note: string], SessionDevice | undefined> = {
  name: "nbd.session",
  command: (link, note) => sh`if ! test -L ${link} || ! test -e ${note}; then exit 44; fi
path=$(readlink -f ${link}) && cd /sys/block/\${path##*/} && ours=$(cat ${note}) || exit 1
if ! test -e pid || [ "\${path##*/} $(cat pid)" != "$ours" ]; then exit 44; fi
cat size queue/logical_block_size && cat queue/read_ahead_kb holders/*/queue/read_ahead_kb 2>/dev/null | sort -n | head -n 1 && cat queue/write_cache`,
  parse: ({ exitCode, stdout }) => {
    if (exitCode === 44) return undefined;
    const match = /^(\d+)\n(\d+)\n(\d+)\nwrite (back|through)\n$/.exec(stdout);
    if (exitCode !== 0 || !match) throw new Error("unexpected answer of sysfs");
    const [sectors = 0, logicalBlockSize = 0, readAhead = 0] = match.slice(1, 4).map(Number);
    return {
      size: sectors * 512,
      logicalBlockSize,
      readAhead,
      flush: match[4] === "back",
    };
  },
};
