/** The session transport (docs/session.md): what the server has for each disk, the client once and for each disk. */
import * as z from "zod";
import { endpoint, tunnel } from "./client";
import { define, field } from "./define";
import { absolutePath, account, canonicalSize, nameField, sizeWithin } from "./fields";
import { serveUser, sleepUnit } from "./paths";

export const serve = define({
  token: "netdisk:index:Serve",
  kind: "serve",
  doc: "netdisk-serve on the server: the disk's key may do one thing, have this disk served on its own connection, after the session before has ended for certain. No port, no other export, no shell.",
  shared: false,
  inputs: {
    name: nameField,
    publicKey: field(z.string().regex(/^ssh-ed25519 [A-Za-z0-9+/=]+$/, "must be `ssh-ed25519 BASE64`"), {
      doc: "Public key of the client's session.",
    }),
    // A file that says another one is brought back. That the disk itself keeps its path, its backing sees to.
    exportName: field(absolutePath, { doc: "`exportname`: file or block device that is served." }),
    user: field(account.default("nbd"), { doc: "Account and group that nbd-server changes to." }),
    flush: field(z.boolean().default(true), { doc: "`flush`: announce that NBD_CMD_FLUSH works." }),
    readOnly: field(z.boolean().default(false), { doc: "`readonly`: refuse writes." }),
  },
  conditions: {
    restricted: {
      value: true,
      doc: `The key's line lets it run nothing but this disk's script, no other line has the same key, and the account ${serveUser} cannot write to its own files.`,
    },
    sshd: {
      value: "accepts",
      doc: "What sshd's configuration says to such a login: `accepts`, or the setting that forbids it.",
    },
    installed: { value: true, doc: "Script, units and nbd-server's configuration have exactly our text." },
    enabled: { value: true, doc: "Listens after a reboot." },
    active: { value: true, doc: "Listens on its unix socket." },
  },
  outputs: {
    account: field(z.string(), { doc: "The account that the client logs in to." }),
    unit: field(z.string(), { doc: "The systemd socket unit." }),
  },
});

export const sessionPlugin = define({
  token: "netdisk:index:SessionPlugin",
  kind: "session-plugin",
  doc: "netdisk's plugin for nbdkit, built on the client from the sources that come with this package, its helper, and the command `netdisk`.",
  shared: true,
  inputs: {},
  conditions: {
    current: { value: true, doc: "Built from the sources of this version of netdisk." },
    intact: { value: true, doc: "The installed files have the digests that were recorded after the build." },
    vetoesSleep: {
      value: true,
      doc: `${sleepUnit} keeps the client from going to sleep while a disk with a session is attached.`,
    },
  },
  outputs: {
    source: field(z.string(), { doc: "SHA-256 of the sources that were built." }),
    plugin: field(z.string(), { doc: "Path of the plugin." }),
  },
});

export const session = define({
  token: "netdisk:index:Session",
  kind: "session",
  doc: "netdisk-session@NAME.service: nbdkit with netdisk's plugin and its ssh to the server. It keeps what the server has not made safe and waits out every outage; restarting it is a pause of some 12 s.",
  shared: false,
  inputs: {
    name: nameField,
    endpoint: field(endpoint, { doc: "The server as the client dials it, HOST:PORT." }),
    user: field(account.default(serveUser), { doc: "Account on the server." }),
    jump: tunnel.inputs.jump,
    // The bounds are the plugin's (agent/src/plugin.c).
    retain: field(sizeWithin("1 MiB", "4 GiB").default("64 MiB"), {
      doc: "How much acknowledged, unflushed data is kept, in locked memory. The default is enough for all that ssh has on the way (docs/session.md).",
      canonical: canonicalSize,
    }),
    build: field(z.string().default(""), {
      doc: "The SessionPlugin's `source`: another build takes the place of the one that runs. Empty: not watched.",
    }),
  },
  conditions: {
    installed: { value: true, doc: "Unit, script and ssh's configuration have exactly our text." },
    active: { value: true, doc: "The service runs, and the plugin answers." },
  },
  outputs: {
    unit: field(z.string(), { doc: "The systemd unit." }),
    socket: field(z.string(), { doc: "The unix socket that serves the disk to this host's kernel." }),
  },
});
