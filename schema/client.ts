/** What a client has once (nbd, the kernel module) and the tunnel and attachment of each disk. */
import * as z from "zod";
import { withoutLogin } from "./credentials";
import { define, field } from "./define";
import { absolutePath, keyPassphrase, canonicalSize, nameField, size, transportField } from "./fields";
import { nbdPort, nbdPrefix, tunnelUser } from "./paths";

export const endpoint = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$/, "must be HOST:PORT ([ADDRESS]:PORT for IPv6)")
  .refine((text) => !(Number(/:([0-9]{1,5})$/.exec(text)?.[1]) > 65535), "must have a port up to 65535");
const publicKey = z.string().regex(/^[a-z0-9-]+ [A-Za-z0-9+/=]+$/, "must be `ALGORITHM BASE64`");

/** Another host between client and server, as the client reaches it: what OpenSSH calls ProxyJump. */
export const jump = {
  endpoint: field(endpoint, {
    doc: "The jump host's SSH port as the client dials it, HOST:PORT. It must be allowed to reach `server.endpoint`.",
    example: "198.51.100.4:22",
  }),
  user: field(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, "must be a user name"), {
    doc: "Login on the jump host.",
    example: "gate",
  }),
  identityFile: field(
    z.string().regex(/^\/[A-Za-z0-9/._@+-]+$/, "must be an absolute path of letters, digits and /._@+-"),
    {
      doc: "Path on the client of the private key that opens the jump host, without a passphrase. It is the user's own: netdisk neither makes nor removes it.",
      example: "/root/.ssh/gate",
    },
  ),
  hostKey: field(publicKey, {
    doc: "The jump host's public key, `ALGORITHM BASE64`: the client pins it.",
    example: "ssh-ed25519 AAAA…",
  }),
} as const;

export const sourceBuild = define({
  token: "netdisk:index:SourceBuild",
  kind: "source-build",
  doc: "nbd built from git without its documentation, installed under a prefix of its own: the article's clone, sed, autogen, configure, make, make install.",
  shared: true,
  inputs: {
    name: field(z.literal("nbd").default("nbd"), {
      doc: "What is built.",
      role: "fixed",
      cure: "Leave it out.",
    }),
    repository: field(
      z
        .string()
        .min(1)
        .regex(
          withoutLogin,
          "must hold no user and password or token, which other users of the client could read. Write them into /root/.netrc there (mode 0600), or use an SSH URL whose key root has",
        )
        .default("https://github.com/NetworkBlockDevice/nbd.git"),
      {
        doc: "URL of a git repository with nbd's layout, as the client's root reaches it, without a password or token.",
      },
    ),
    ref: field(
      z
        .string()
        .regex(/^[A-Za-z0-9._/][A-Za-z0-9._/-]*$/, "must be a tag, branch or commit")
        .default("nbd-3.26.1"),
      {
        doc: "Tag, branch or commit. What it resolved to is recorded as `commit`: a branch is pinned to it until `ref` is changed, a tag that moved is refused.",
      },
    ),
    prefix: field(absolutePath.default(nbdPrefix), {
      doc: "`configure --prefix`.",
      role: "fixed",
      cure: "Keep the prefix; units name it.",
    }),
    configure: field(z.array(z.string()).default(["--enable-syslog"]), {
      doc: "Further arguments of `configure`.",
    }),
  },
  conditions: {
    intact: {
      value: true,
      doc: "The installed programs have the digests that were recorded after the build.",
    },
    runs: {
      value: true,
      doc: "nbd-client starts: the libraries and the kernel have what it was built with. After an upgrade that breaks it, it is built again.",
    },
  },
  outputs: {
    commit: field(z.string(), { doc: "The commit that was built." }),
    digests: field(z.record(z.string(), z.string()), { doc: "SHA-256 of each installed program." }),
    client: field(z.string(), { doc: "Path of nbd-client." }),
  },
});

export const kernelModule = define({
  token: "netdisk:index:KernelModule",
  kind: "kernel-module",
  doc: "The kernel module nbd: loaded now and at boot, without partition scanning (`max_part=0`); the article's `modprobe nbd`.",
  shared: true,
  inputs: {
    name: field(z.literal("nbd").default("nbd"), {
      doc: "Name of the module.",
      role: "fixed",
      cure: "Leave it out.",
    }),
    maxPart: field(z.int().min(0).max(255).default(0), {
      doc: "`max_part`: partitions per device. 0: the kernel never parses what the server sent as a partition table. Takes effect when the module is loaded.",
    }),
  },
  conditions: {
    loaded: { value: true, doc: "In /proc/modules, or built into the kernel." },
    atBoot: { value: true, doc: "modules-load.d and modprobe.d have our files." },
  },
  outputs: {},
});

export const probeGuard = define({
  token: "netdisk:index:ProbeGuard",
  kind: "probe-guard",
  doc: "A udev rule that keeps blkid, LVM, mdadm and udisks away from nbd devices: the bytes there are the server's, and hostile until proven otherwise. And a line for needrestart, which must not restart the units below a mounted disk.",
  shared: true,
  inputs: {},
  conditions: {
    installed: { value: true, doc: "Both files have exactly our text." },
    active: { value: true, doc: "udev has loaded the rule." },
  },
  outputs: {},
});

export const tunnelKey = define({
  token: "netdisk:index:TunnelKey",
  kind: "tunnel-key",
  doc: "The SSH key of one disk's session or tunnel, made on the client; the private half never leaves it.",
  shared: false,
  inputs: { name: nameField },
  conditions: {
    private: { value: true, doc: "Owned by root, mode 0600." },
  },
  outputs: {
    publicKey: field(z.string(), { doc: "`ssh-ed25519 BASE64`." }),
    path: field(z.string(), { doc: "Path of the private key on the client." }),
  },
});

export const knownHost = define({
  token: "netdisk:index:KnownHost",
  kind: "known-host",
  doc: "The host keys of the server, and of hosts on the way there, pinned for one disk in a known_hosts file of its own.",
  shared: false,
  inputs: {
    name: nameField,
    endpoint: field(endpoint, {
      doc: "The server as the client dials it, HOST:PORT.",
      example: "203.0.113.7:22",
    }),
    publicKey: field(publicKey, { doc: "The server's host key." }),
    jumps: field(z.record(endpoint, publicKey).default({}), {
      doc: "Hosts on the way there, by HOST:PORT, with their keys.",
    }),
  },
  conditions: {
    onlyOurs: { value: true, doc: "The file holds these keys and no others." },
  },
  outputs: {
    path: field(z.string(), { doc: "Path of the known_hosts file on the client." }),
  },
});

export const tunnel = define({
  token: "netdisk:index:Tunnel",
  kind: "tunnel",
  doc: "netdisk-tunnel@NAME.service: the article's `ssh -L`, kept up by systemd, ending in a unix socket that only root can open.",
  shared: false,
  inputs: {
    name: nameField,
    endpoint: field(endpoint, { doc: "The server as the client dials it, HOST:PORT." }),
    user: field(z.string().default(tunnelUser), { doc: "Account on the server." }),
    remote: field(z.string().default(`127.0.0.1:${nbdPort}`), {
      doc: "Where nbd-server listens, as seen on the server.",
    }),
    jump: field(
      z
        .strictObject({
          endpoint: jump.endpoint.schema,
          user: jump.user.schema,
          identityFile: jump.identityFile.schema,
        })
        .optional(),
      {
        doc: "The host on the way to the server: its `endpoint`, `user`, and `identityFile` on the client. None: the client dials the server itself.",
      },
    ),
    keyPassphrase,
  },
  conditions: {
    installed: { value: true, doc: "The unit file has exactly our text and is not masked." },
    active: { value: true, doc: "The service runs and its socket is there." },
  },
  outputs: {
    unit: field(z.string(), { doc: "The systemd unit." }),
    socket: field(z.string(), { doc: "The unix socket that leads to nbd-server." }),
  },
});

export const attachment = define({
  token: "netdisk:index:Attachment",
  kind: "attachment",
  doc: "netdisk-attach@NAME.service: the kernel's nbd device, connected by nbd-client to the disk's session or tunnel; always reached as /dev/netdisk/NAME.",
  shared: false,
  inputs: {
    name: nameField,
    keyPassphrase,
    transport: transportField,
    client: field(absolutePath.default(`${nbdPrefix}/sbin/nbd-client`), { doc: "Path of nbd-client." }),
    blockSize: field(z.literal([512, 1024, 2048, 4096]).default(4096), {
      doc: "Logical block size of the device, bytes. A file system made with one does not mount with another.",
      role: "fixed",
      cure: "Keep the block size that the disk was made with. A disk that was attached with a wrong one is given back first, which leaves it unharmed: `pulumi destroy`, or, beside other disks, `pulumi up` without it.",
    }),
    timeout: field(z.int().min(0).default(30), {
      doc: "`nbd-client -timeout`: seconds until the kernel gives up a request; 0 waits for ever. A session never gives one up.",
    }),
    // The kernel counts in pages: another number would be read back as the next smaller one, for ever a difference.
    readAhead: field(z.int().min(0).multipleOf(4, "must be a multiple of 4, a page").default(4096), {
      doc: "Read-ahead, KiB. The default is twice what ssh has on the way, and so enough for any link (docs/session.md). A change reaches an open disk at once, where its server answers.",
    }),
    size: field(size, {
      doc: "Size of the disk. A device of another size is not attached: it is another disk. One that is to be larger grows while the disk is in use: with `forward` another device takes its place, with a session it grows itself.",
      role: "fixed",
      cure: "A disk only grows: keep the size that it has.",
      example: "20 GiB",
      canonical: canonicalSize,
      growable: true,
    }),
    revision: field(
      z
        .string()
        .regex(/^[0-9a-f]*$/, "must be an Export's revision")
        .default(""),
      {
        doc: "The Export's `revision`. A connection keeps the settings of the export that it was made with; where they were changed since, a new connection takes its place; a disk that is open stays open. Empty: not watched.",
      },
    ),
  },
  conditions: {
    installed: { value: true, doc: "The unit file has exactly our text and is not masked." },
    active: { value: true, doc: "The service runs, the device has its size, /dev/netdisk/NAME leads to it." },
    queue: {
      value: true,
      doc: "The request queue of the attached device is as the attach script sets it (docs/session.md): `scheduler`, `max_sectors_kb`, `nr_requests`, `wbt_lat_usec`, with a session `io_timeout`.",
    },
    flush: {
      value: true,
      doc: "The device that is attached has a write cache for the kernel (`queue/write_cache`), because the server announced flush: an fsync reaches the server's disk.",
    },
  },
  outputs: {
    unit: field(z.string(), { doc: "The systemd unit." }),
    device: field(z.string(), { doc: "/dev/netdisk/NAME." }),
  },
});
