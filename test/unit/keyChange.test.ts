/**
 * A change of the key, run as the shell text that it is over a cryptsetup that keeps its slots in a file, and killed before
 * each command that changes a file under its name: what is left always opens, by the script that a boot runs, too, and going
 * on ends as if nothing had happened.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { beforeEach, expect, it, vi } from "vitest";
import type { KeyReading } from "../../schema/fields";
import { leftovers, planKeyChange, changeNote } from "../../provider/resources/keyChange";
import { part, raw, render } from "../../provider/template";
import { commandOf, stubbedShell, type StubbedShell } from "./stubbedShell";

// Some hundred processes.
vi.setConfig({ testTimeout: 180_000 });

const key = "/etc/netdisk/keys/t1.key";
const header = "/var/lib/netdisk/headers/t1.luks";
const device = "/dev/netdisk/t1";
const uuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const used = 65536;
const inputs = {
  name: "t1",
  device,
  keyFile: key,
  keyPassphrase: undefined,
  type: "luks2",
  pbkdf: "argon2id",
  hash: "sha256",
  cipher: "aes-xts-plain64",
  keySize: 512,
  sectorSize: 4096,
  iterTime: undefined,
  adopt: undefined,
} as const;

/** Slots are lines behind the metadata: `1 DIGEST-OF-THE-KEY`. */
const cryptsetup = `last() { for last; do :; done; echo "$last"; }
slots() { tail -c +32769 "$1" | tr -d '\\0'; }
keep() { { head -c 32768 "$1"; cat; } >"$1.s" && truncate -s ${used} "$1.s" && cat "$1.s" >"$1" && rm "$1.s"; }
digest() { sha256sum | cut -c 1-64; }
case "$1 $*" in
luksDump*) echo "Area offset: 32768"; echo "Area length: ${used - 32768}" ;;
luksUUID*) echo ${uuid} ;;
open*--test-passphrase*)
  given=$(digest); all="$*"; slot=\${all#*--key-slot }
  slots "$(last "$@")" | grep -qx "\${slot%% *} $given" || exit 2 ;;
open*)
  header= file=
  while [ $# -gt 2 ]; do case $1 in --header) header=$2 ;; --key-file) file=$2 ;; esac; shift; done
  case $file in ?*) given=$(digest <"$file") ;; *) given=$(head -n 1 | tr -d '\\n' | digest) ;; esac
  slots "$header" | grep -q " $given$" || exit 2
  touch open ;;
luksAddKey*)
  shift; to=$3; header= ; old=$(digest <&3)
  while [ "$2" != "" ]; do header=$1; shift; done
  slots "$header" | grep -q " $old$" || exit 2
  { slots "$header"; echo "$to $(digest)"; } | keep "$header" ;;
luksKillSlot*)
  given=$(digest); rest=$(slots "$5" | grep -v "^$6 "); printf '%s\\n' "$rest" | grep -q " $given$" || exit 2
  printf '%s\\n' "$rest" | keep "$5" ;;
esac`;

/** What changes a file that has its name already; all else works on copies. */
const changing = ["mv", "ln", "dd", "shred"];

let shell: StubbedShell;
let old = "";

beforeEach(() => {
  shell = stubbedShell();
  // The command at which the counter reaches the number in `strike` ends with all that it belongs to.
  const struck = `n=$(($(cat ${shell.path("count")}) + 1)); echo $n >${shell.path("count")}; if [ $n = "$(cat ${shell.path("strike")})" ]; then kill -KILL $(cat ${shell.path("shell")}) $PPID; exit 1; fi`;
  for (const tool of changing) {
    const direct = `for word; do shift; set -- "$@" "$(echo "$word" | sed s/=direct,/=/)"; done`;
    shell.stub(tool, `${struck}\n${direct}\nPATH=/usr/bin:/bin exec ${tool} "$@"`);
  }
  shell.stub("cryptsetup", cryptsetup);
  shell.stub(
    "dmsetup",
    `[ -e open ] || { echo Device does not exist.; exit 1; }; case $1 in table) echo 0 8 crypt aes-xts-plain64 :64: 0 43:0 32768 ;; esac`,
  );
  shell.write("/sys/class/block/t1/dev", "43:0\n");
  shell.stub("sleep", "exit 1");
  shell.write("/dev/netdisk/.keep", "");
  for (const [file, content] of [
    [key, "k".repeat(64)],
    [header, Buffer.concat([Buffer.alloc(32768, "M"), Buffer.alloc(used - 32768)])],
  ] as const)
    shell.write(file, content);
  old = digestOf(key);
  const bytes = Buffer.alloc(used, "M");
  bytes.fill(0, 32768).write(`0 ${old}\n`, 32768);
  shell.write(header, bytes);
  shell.write(device, bytes);
  shell.write("count", "0");
  shell.write("strike", "0");
});

const bytesOf = (file: string) =>
  shell.read(file) === undefined ? Buffer.alloc(0) : readFileSync(shell.path(file));
const sha256 = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");
const digestOf = (file: string) => sha256(bytesOf(file));

const slotsOf = (file: string): [number, string][] =>
  [
    ...bytesOf(file)
      .toString("latin1")
      .matchAll(/(?:^|\n|\0|M)([0-7]) ([0-9a-f]{64})(?=\n)/g),
  ].map((found) => [Number(found[1]), found[2] ?? ""]);

/** The script of a boot, as it was written before the change. */
const openScript = (reading: KeyReading): string =>
  render("open.sh", {
    ...{ name: "t1", unit: "netdisk-open@t1.service", device, header, key, uuid, sealed: "no", reading },
    ...{
      patiently: part("patiently.sh"),
      resume: part("resume.sh"),
      question: "netdisk:t1",
      gnupgHome: "/run/netdisk-key.XXXXXX",
    },
    ...{ cipher: "aes-xts-plain64", options: raw(""), session: "" },
  });

/** After a kill, of the client this time. */
function boot(reading: KeyReading) {
  shell.run("rm -f open");
  return shell.run(openScript(reading), "start");
}

/** As luks.ts observes it. */
function seen() {
  const slots = slotsOf(header);
  const opened = (file: string, digest = digestOf(file)) => slots.find(([, given]) => given === digest)?.[0];
  const whole = opened(key);
  const line = opened(key, sha256(bytesOf(key).toString("latin1").split("\n")[0] ?? ""));
  const note = /^key slot (\d) to (\d) of /.exec(shell.read(changeNote("t1")) ?? "");
  return {
    uuid,
    keySlot: whole ?? line,
    keyReading: whole === undefined ? "first line" : "whole",
    slots: slots.map(([slot]) => slot),
    headerOnDevice: bytesOf(device).equals(bytesOf(header)),
    ...(note && {
      changeFrom: Number(note[1]),
      changeTo: Number(note[2]),
      newKeyOpens: opened(leftovers(inputs)[0] ?? "") === Number(note[2]),
    }),
  };
}

/** Round after round, as a run does it, until nothing is planned or a command fails. */
function run(keySlot: number): boolean {
  for (let round = 0; round < 12; round++) {
    const state = seen();
    expect(state.keySlot, "the key file opens the header").toBeDefined();
    const steps = state.headerOnDevice
      ? planKeyChange(state as never, { ...inputs, keySlot })
      : planKeyChange({ ...state, keySlot: 0, slots: [0] } as never, { ...inputs, keySlot: 1 }).slice(1, 2);
    if (steps.length === 0) return true;
    for (const step of steps) {
      const { status, stderr } = shell.run(`echo $$ >${shell.path("shell")}; ${commandOf(step)}`);
      if (status !== 0 && shell.read("strike") === "0") throw new Error(`${step.title}: ${stderr}`);
      if (status !== 0) return false;
    }
  }
  throw new Error("there is no end to it");
}

function expectChanged() {
  const made = digestOf(key);
  expect(made).not.toBe(old);
  expect(slotsOf(header)).toEqual([[1, made]]);
  expect(bytesOf(device).equals(bytesOf(header))).toBe(true);
  for (const file of [...leftovers(inputs), `${header}.new`, changeNote("t1")])
    expect(shell.read(file), file).toBeUndefined();
}

it("leaves the new key in the new slot, and nothing of the old one", () => {
  expect(run(1)).toBe(true);
  expectChanged();
});

it("leaves other slots alone, and a slot that is taken", () => {
  const bytes = bytesOf(header);
  bytes.write(`0 ${old}\n2 ${"f".repeat(64)}\n`, 32768);
  shell.write(header, bytes);
  shell.write(device, bytes);
  expect(() => run(2)).toThrow("key slot 2 of");
  expect(run(1)).toBe(true);
  expect(slotsOf(header)).toEqual([
    [2, "f".repeat(64)],
    [1, digestOf(key)],
  ]);
});

it("is not begun of a key that another disk in a stack opens by", () => {
  const claim = (keyFile: string) => `{"project":"p","inputs":{"name":"x","keyFile":"${keyFile}"}}\n`;
  shell.write("/var/lib/netdisk/claims/luks/t1/p.s.json", claim(shell.path(key)));
  shell.write("/var/lib/netdisk/claims/luks/t2/p.s.json", claim(shell.path(key)));
  expect(() => run(1)).toThrow(
    /t1\.key is the key of t2, too, .*nothing was changed\. .* run the same again\./,
  );
  expect(digestOf(key)).toBe(old);
  shell.run("rm -r /var/lib/netdisk/claims/luks/t2");
  expect(run(1)).toBe(true);
  expectChanged();
});

it("reads as much of a key that was made by hand as opens the disk, and makes one as long as the file", () => {
  shell.write(key, `first line\n${"k".repeat(53)}`);
  old = sha256("first line");
  const bytes = bytesOf(header);
  bytes.write(`0 ${old}\n`, 32768);
  shell.write(header, bytes);
  shell.write(device, bytes);
  expect(seen()).toMatchObject({ keySlot: 0, keyReading: "first line" });
  expect(run(1)).toBe(true);
  expectChanged();
  expect(bytesOf(key).length).toBe(64);
  expect(seen()).toMatchObject({ keySlot: 1, keyReading: "whole" });
});

/** How the key is read, the file, and what of it opens the disk. */
const before: [KeyReading, string, string][] = [
  ["whole", "k".repeat(64), "k".repeat(64)],
  ["first line", `first line\n${"k".repeat(53)}`, "first line"],
];

it.each(before)("opens, and is finished by the next run, wherever a kill ends it: %s", (how, file, opens) => {
  old = sha256(opens);
  const bytes = bytesOf(header);
  bytes.write(`0 ${old}\n`, 32768);
  let kills = 0;
  for (let strike = 1; ; strike++) {
    shell.run(`rm -rf /var/lib/netdisk/intent /etc/netdisk/keys /var/lib/netdisk/headers; mkdir -p /run`);
    shell.write(key, file);
    shell.write(header, bytes);
    shell.write(device, bytes);
    shell.write("count", "0");
    shell.write("strike", String(strike));
    let ended: boolean;
    try {
      ended = run(1);
    } catch (error) {
      if (!String(error).includes("ended by SIGKILL")) throw error;
      ended = false;
    }
    if (ended) break;
    kills++;
    shell.write("strike", "0");
    expect(boot(how), `a boot after a kill at command ${strike}`).toMatchObject({ status: 0 });
    expect(run(1), `after a kill at command ${strike}`).toBe(true);
    expectChanged();
  }
  expect(kills).toBeGreaterThan(10);
});
