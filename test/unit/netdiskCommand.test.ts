/** The command `netdisk` on the client, with stand-ins for the plugin's helper and the host's tools. */
import { beforeEach, describe, expect, it } from "vitest";
import { commandHoles } from "../../provider/resources/sessionPlugin";
import { render } from "../../provider/template";
import { stubbedShell, type StubbedShell } from "./stubbedShell";

const lib = "/var/lib/netdisk/lib";
let shell: StubbedShell;
const netdisk = (...args: string[]) =>
  shell.run(render("netdisk.sh", { ...commandHoles(), dir: lib, helper: `${lib}/netdisk-helper` }), ...args);

/** What the plugin says of a disk, as agent/src/status.c has it. */
const status = (name: string, more: object) =>
  JSON.stringify({
    ...{
      name,
      pid: 7,
      state: "up",
      since: 12.5,
      reason: "",
      kind: "",
      waiting: 0,
      oldest: 0,
      retained: 4096,
      size: 20 * 2 ** 30,
    },
    ...{
      retain_limit: 67108864,
      sessions: 3,
      dials: 5,
      replayed: 0,
      read: 1000,
      written: 2000,
      lost: 0,
      ...more,
    },
  });

function disk(name: string, more: object = {}): void {
  shell.write(`${lib}/session@${name}`, `#!/bin/sh\n[ "$1" != status ] || echo '${status(name, more)}'\n`);
  shell.run(`chmod +x ${lib}/session@${name}`);
}

beforeEach(() => {
  shell = stubbedShell();
  shell.stub("id", "echo 0");
  shell.stub("cryptsetup", "exit 1");
  shell.stub("findmnt", "echo /mnt/photos");
  shell.stub("sleep", "");
});

it("shows a disk that is up, and why another one is not", () => {
  disk("photos");
  disk("vault", { state: "parked", kind: "unanswered", reason: "no session: No route to host", waiting: 2 });
  const { status: code, stdout } = netdisk("status");
  expect(code).toBe(0);
  const [head, photos, vault, why] = stdout.split("\n");
  expect(head?.split(/ +/)).toContain("WRITTEN/S");
  expect(photos).toMatch(/^photos +up +12.5 +0 +4096 +3 +0 +0 +0 +20GiB +\/mnt\/photos$/);
  expect(vault).toMatch(/^vault +parked +12.5 +2 /);
  expect(why).toBe("  unanswered: no session: No route to host");
});

it("gives no reason of yesterday for a disk that is on its way up", () => {
  disk("photos", { state: "replaying", reason: "no session: No route to host" });
  expect(netdisk("status").stdout).not.toContain("No route");
});

it("says what is read and written per second", () => {
  disk("photos");
  // The plugin has counted on when the second has passed.
  shell.stub(
    "sleep",
    `sed -i 's/"read":1000/"read":1500/; s/"written":2000/"written":9000/' ${shell.path(lib)}/session@photos`,
  );
  expect(netdisk("status", "photos").stdout).toMatch(/ 500 +7000 +20GiB +\/mnt\/photos/);
});

it("is JSON for programs, also with no disk", () => {
  expect(JSON.parse(netdisk("status", "--json").stdout)).toEqual([]);
  disk("photos");
  expect(JSON.parse(netdisk("status", "--json").stdout)).toMatchObject([
    { name: "photos", mount: "/mnt/photos", fs_uuid: "" },
  ]);
});

it.each([
  ["up", "held"],
  ["replaying", "held"],
  ["parked", "unknown"],
])(
  "says of a disk that is %s what the client itself knows: UUIDs, and that the lease is %s",
  (state, lease) => {
    const [luks, fs] = ["30f41e4c-0f1e-4d2a-9c55-2f6a0f7f6c11", "3094a334-0aa7-4b02-b058-7f1ef7864c74"];
    disk("photos", { state });
    shell.write("/var/lib/netdisk/headers/photos.luks", "");
    shell.stub("cryptsetup", `echo ${luks}`);
    shell.write(`${lib}/mount@photos`, `#!/bin/sh\n[ "$1" != uuid ] || echo ${fs}\n`);
    shell.run(`chmod +x ${lib}/mount@photos`);
    expect(JSON.parse(netdisk("status", "photos", "--json").stdout)).toMatchObject([
      { luks_uuid: luks, fs_uuid: fs, lease, size: 20 * 2 ** 30 },
    ]);
  },
);

it("is Prometheus' text format: each metric with its type, once, and a sample for each disk", () => {
  disk("photos");
  disk("vault", { state: "parked", waiting: 2 });
  const { stdout } = netdisk("status", "--metrics");
  for (const line of stdout.trimEnd().split("\n"))
    expect(line).toMatch(
      /^(# HELP netdisk_[a-z_]+ .+|# TYPE netdisk_[a-z_]+ (gauge|counter)|netdisk_[a-z_]+\{disk="[a-z]+"\} [0-9.]+)$/,
    );
  expect(stdout.match(/^# TYPE netdisk_up /gm)).toHaveLength(1);
  expect(stdout).toContain('netdisk_up{disk="photos"} 1\nnetdisk_up{disk="vault"} 0\n');
  expect(stdout).toContain('netdisk_waiting_requests{disk="vault"} 2\n');
  expect(stdout).toContain('netdisk_written_bytes_total{disk="photos"} 2000\n');
});

it("names the cure where a disk is not known, and refuses what it does not know", () => {
  expect(netdisk("status", "nothing")).toMatchObject({
    status: 1,
    stderr: "netdisk: there is no disk nothing with a session on this host. netdisk status lists them.\n",
  });
  expect(netdisk("status", "--xml").status).toBe(2);
});

it("keeps the host awake while a disk is attached, and names the cure", () => {
  disk("photos");
  expect(netdisk("may-sleep").status).toBe(0);
  shell.write("/dev/nbd3", "");
  shell.run("mkdir -p /dev/netdisk && ln -s ../nbd3 /dev/netdisk/photos");
  expect(netdisk("may-sleep").status).toBe(0);
  shell.write("/sys/block/nbd3/pid", "7");
  expect(netdisk("may-sleep")).toMatchObject({
    status: 1,
    stderr:
      "netdisk: this host does not go to sleep while the disk photos is attached. systemctl stop netdisk@photos.target detaches it.\n",
  });
});

it("says how a disk that was given up comes back", () => {
  disk("photos");
  const { status: code, stdout } = netdisk("abort", "photos");
  expect([code, stdout]).toEqual([
    0,
    "To attach it again: systemctl restart netdisk@photos.target, or pulumi up.\n",
  ]);
});

describe("of a disk whose plugin", () => {
  const answers = (status: number) => {
    shell.write(`${lib}/session@photos`, `#!/bin/sh\nexit ${status}\n`);
    shell.run(`chmod +x ${lib}/session@photos`);
  };

  it.each([
    ["does not run, says so", 3, "stopped", 0],
    ["does not answer, does not say that it was stopped, and fails", 1, "unknown", 1],
  ])("%s", (_, status, state, code) => {
    answers(status);
    const [json, table] = [netdisk("status", "--json"), netdisk("status")];
    expect(JSON.parse(json.stdout)).toMatchObject([{ name: "photos", state }]);
    expect([json.status, table.status]).toEqual([code, code]);
    expect(table.stdout).toMatch(new RegExp(`^photos +${state} `, "m"));
    if (code === 1) expect(table.stdout).toContain("systemctl restart netdisk-session@photos starts another");
  });

  it("does not answer, has no numbers for Prometheus, and does not keep those of other disks from it", () => {
    answers(1);
    const { status: code, stdout } = netdisk("status", "--metrics");
    expect([code, stdout.split("\n").filter((text) => text.startsWith("netdisk_"))]).toEqual([
      0,
      ['netdisk_up{disk="photos"} 0', 'netdisk_unknown{disk="photos"} 1', 'netdisk_parked{disk="photos"} 0'],
    ]);
  });
});

it("does not take a header that cannot be read for none", () => {
  disk("photos");
  shell.write("/var/lib/netdisk/headers/photos.luks", "");
  const { status: code, stdout } = netdisk("status", "--json");
  expect([code, JSON.parse(stdout)]).toMatchObject([1, [{ luks_uuid: "unknown" }]]);
});

it("names the cure to whoever is not root, and says nothing of the disks", () => {
  disk("photos");
  shell.stub("id", "echo 1000");
  expect(netdisk("status")).toEqual({
    status: 1,
    stdout: "",
    stderr: "netdisk: only root can ask the disks. Run: sudo netdisk status\n",
  });
});
