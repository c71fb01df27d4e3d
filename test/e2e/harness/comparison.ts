/**
 * A pair of hosts with the disk testdisk, told by their own tools, as lines that can be compared with another pair's:
 * what is told (`luksDump: Cipher name`) and what it is there. What no two makings share has a word instead.
 */
import { sizeMiB } from "./article";
import { on, type HostName } from "./lab";

export type Description = Map<string, string>;

/** Random, or measured on the spot: says nothing about how a disk was made. */
const settled = (value: string): string =>
  value
    .trim()
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "UUID")
    .replace(/^([0-9a-f]{2} ){7,}[0-9a-f]{2}$/, "random")
    .replace(/\b(salt) [0-9A-F]{16}\b/, "$1 random")
    .replace(/\b(count) [0-9]+ \([0-9]+\)/, "$1 measured")
    .replace(/\s+/g, " ");

type Entries = [what: string, is: string][];

/** `key = value` below `[section]`, without comments: all files of nbd-server as one. */
function ini(text: string): Entries {
  let section = "";
  const entries: Entries = [];
  for (const line of text.split("\n").map((it) => it.trim())) {
    const header = /^\[.*\]$/.exec(line);
    const [, key, value] = /^([^#=]+?)\s*=\s*(.*)$/.exec(line) ?? [];
    if (header) section = line;
    else if (key !== undefined && value !== undefined) entries.push([`${section} ${key}`, value]);
  }
  return entries;
}

/** `Key: value`, below the last line that begins a key slot. */
function luksDump(text: string): Entries {
  let slot = "";
  const entries: Entries = [];
  for (const line of text.split("\n")) {
    const [, indent = "", key = "", value = ""] = /^(\s*)([A-Z][^:]*):\s*(.+)$/.exec(line) ?? [];
    if (key === "") continue;
    if (key.startsWith("Key Slot")) slot = `${key}, `;
    entries.push([
      `luksDump: ${indent === "" ? "" : slot}${key}`,
      /terations$/.test(key) ? "measured" : value,
    ]);
  }
  return entries;
}

/** `key=value` below the word at the beginning of a line. */
function xfsInfo(text: string): Entries {
  let section = "";
  return text.split("\n").flatMap((line) => {
    section = /^[a-z-]+/.exec(line)?.[0] ?? section;
    const words = [...line.replace(/^[^=]*=/, "").matchAll(/([a-z][a-z0-9-]*)=(\S+?)(?=,|\s|$)/g)];
    return words.map(([, key, value]): Entries[number] => [`xfs_info: ${section} ${key}`, value ?? ""]);
  });
}

const columns = (text: string): Entries =>
  text
    .split("\n")
    .map((line) => /^ *([^:]+): +(.*)$/.exec(line))
    .flatMap((match): Entries => (match ? [[`cryptsetup status: ${match[1]}`, match[2] ?? ""]] : []));

export interface Places {
  /** The attached device on the client. */
  device: string;
  /** The key as gpg sealed it. */
  key: string;
  /** The server's file. */
  file: string;
}

/** What is asked on a host: either told as it is, or taken apart. */
type Look = [command: string, as: string | ((text: string) => Entries)];

const listening = "ss -Hltn | awk '{ print $4 }' | grep -v ':22$' | sort";

const onServer = (file: string): Look[] => [
  ["cat /etc/nbd-server/config /etc/nbd-server/conf.d/*", ini],
  ["grep -v '^#' /etc/nbd-server/allow", "/etc/nbd-server/allow"],
  ["cd /etc/nbd-server && find -type f -printf '%P\\n' | sort", "files in /etc/nbd-server"],
  ["systemctl is-enabled nbd-server", "nbd-server at boot"],
  [listening, "ss -ltn on the server, without sshd"],
  [
    "losetup --list --noheadings --output BACK-FILE,DIO,RO,AUTOCLEAR",
    "losetup: file, direct I/O, read-only, autoclear",
  ],
  [`stat -c '%U %G %a' ${file}`, "owner and mode of the file"],
  [`stat -c '%s' ${file}`, "bytes of the file"],
  [
    `stat -c '%b %B' ${file} | awk '{ print ($1 * $2 >= ${sizeMiB} * 1048576) ? "all" : "some" }'`,
    "reserved of it",
  ],
];

const onClient = ({ device, key }: Omit<Places, "file">): Look[] => {
  const queue = `/sys/block/$(basename $(readlink -f ${device}))/queue`;
  return [
    ["cd /opt/nbd && find -type f -perm /111 -printf '%P\\n' | sort", "programs in /opt/nbd"],
    ["cd /opt/nbd && find -type f ! -perm /111 -printf '%P\\n' | sort", "other files in /opt/nbd"],
    ["cat /sys/module/nbd/parameters/max_part", "max_part of nbd"],
    [listening, "ss -ltn on the client, without sshd"],
    [
      `blockdev --getsize64 --getro --getbsz --getss ${device}`,
      "nbd device: bytes, read-only, block, sector",
    ],
    [`cat ${queue}/io_timeout`, "nbd device: time-out in ms"],
    [`cat ${queue}/read_ahead_kb`, "nbd device: read-ahead in KiB"],
    [`cat ${queue}/nr_requests ${queue}/max_sectors_kb`, "nbd device: requests in its queue, KiB in one"],
    [`sed 's/.*\\[\\(.*\\)\\].*/\\1/' ${queue}/scheduler`, "nbd device: I/O scheduler"],
    [`cat ${queue}/wbt_lat_usec`, "nbd device: target of writeback throttling in µs"],
    [
      `gpg --batch --list-packets --list-only ${key} 2>/dev/null | grep -A1 symkey`,
      "gpg --list-packets of the key",
    ],
    [`cryptsetup luksDump ${device}`, luksDump],
    ["cryptsetup status testdisk", columns],
    ["xfs_info /mnt/disk", xfsInfo],
    ["findmnt -no SOURCE,FSTYPE /mnt/disk", "findmnt: source and type"],
    ["findmnt -no OPTIONS /mnt/disk", "findmnt: options"],
  ];
};

const border = "-- next --";

/** All looks in one login. A command that finds nothing says nothing. */
async function ask(host: HostName, looks: Look[]): Promise<Entries> {
  const script = looks.map(([command]) => `(${command}) || true; echo '${border}'`).join("\n");
  const told = (await on(host, script)).split(border);
  return looks.flatMap(([, as], index) => {
    const text = (told[index] ?? "").trimStart();
    return typeof as === "string" ? [[as, text]] : as(text);
  });
}

export async function describeDisk({ file, ...places }: Places): Promise<Description> {
  const entries = await Promise.all([ask("server", onServer(file)), ask("client", onClient(places))]);
  return new Map(entries.flat().map(([what, is]) => [what, settled(is)]));
}

export interface Difference {
  what: string;
  byHand: string;
  netdisk: string;
}

export const nothing = "nothing";

export function differencesOf(byHand: Description, netdisk: Description): Difference[] {
  return [...new Set([...byHand.keys(), ...netdisk.keys()])]
    .map((what) => ({
      what,
      byHand: byHand.get(what) || nothing,
      netdisk: netdisk.get(what) || nothing,
    }))
    .filter((it) => it.byHand !== it.netdisk);
}
