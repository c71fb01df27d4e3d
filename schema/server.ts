/** What a server has once, and what it has for each disk. */
import * as z from "zod";
import { define, field } from "./define";
import {
  absolutePath,
  account,
  adoptField,
  canonicalSize,
  diskSize,
  nameField,
  size,
  smallestDisk,
} from "./fields";
import { nbdPort, nbdServerAllowFile, nbdServerIncludeDir, tunnelUser } from "./paths";

const packageName = z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, "must be the name of a Debian package");

export const packages = define({
  token: "netdisk:index:Packages",
  kind: "packages",
  doc: "Debian packages that must be installed (`apt-get install`). Never removed: others may have come to rely on them.",
  shared: true,
  inputs: {
    name: field(z.enum(["server", "client", "session"]), {
      doc: "The role of the host that needs them, or `session`: what a client needs besides for the session transport. One set per role and host.",
      role: "fixed",
      cure: "Use one Packages resource per role.",
    }),
    packages: field(z.array(packageName).nonempty(), {
      doc: "Names of the packages.",
      example: ["nbd-server"],
      canonical: (value) => (Array.isArray(value) ? [...new Set(value as string[])].sort() : value),
    }),
  },
  conditions: {},
  outputs: {
    versions: field(z.record(z.string(), z.string()), { doc: "Installed version of each package." }),
  },
});

export const backingFile = define({
  token: "netdisk:index:BackingFile",
  kind: "backing-file",
  doc: "The file on the server that holds the (encrypted) disk; the article's `dd of=/var/tmp/test.img`. Stays when the resource is removed.",
  shared: false,
  inputs: {
    name: nameField,
    path: field(absolutePath, {
      doc: "Path on the server.",
      role: "fixed",
      cure: "Keep the path, or make a second disk there and copy the files.",
      example: "/var/lib/netdisk/testdisk.img",
    }),
    size: field(diskSize, {
      doc: `Size of the disk, ${smallestDisk} or more. A larger one grows the file, and what is above it, while the disk is in use; one with a sealed key (\`key: { gpg }\`) is closed and opened for that, once nobody uses it.`,
      role: "fixed",
      cure: "A disk only grows: keep the size that is there; for a smaller disk make a second one and copy the files.",
      example: "20 GiB",
      canonical: canonicalSize,
      growable: true,
    }),
    allocation: field(z.enum(["full", "sparse"]).default("full"), {
      doc: "`full`: all blocks are reserved now, so that the disk cannot run out of space later. `sparse`: blocks are taken as they are written.",
    }),
    loop: field(z.boolean().default(false), {
      doc: "A loop device over the file is served, as the article does, instead of the file itself.",
      role: "fixed",
      cure: "Keep what it was made with.",
    }),
    owner: field(account.default("nbd"), { doc: "User that owns the file: the one nbd-server runs as." }),
    mode: field(
      z
        .string()
        .regex(/^0[0-7]{3}$/, "must be four octal digits such as 0600")
        .default("0600"),
      {
        doc: "Permission bits, octal.",
      },
    ),
    adopt: adoptField(
      "the file must be there, begin with this LUKS container, and be used and served by nobody any more.",
    ),
  },
  conditions: {
    exists: {
      value: true,
      doc: "The file is there. Nothing is made in the place of one that was there before and is gone.",
    },
    identity: {
      value: "noted",
      doc: "Which file it is, by inode and time of birth: `noted`, as the server has it noted and serves it; `not noted`; or both, where another one lies at the path. A copy is another file: one that is meant is noted by hand, as the refusal says.",
    },
    reachable: {
      value: true,
      doc: "The owner can open the file for reading and writing (tried as that user).",
    },
  },
  outputs: {
    pinnedSize: field(size, {
      doc: "The size that the file has had by the stack's wish: a smaller file was cut, and is not grown.",
    }),
  },
});

export const serverConfig = define({
  token: "netdisk:index:ServerConfig",
  kind: "server-config",
  doc: "/etc/nbd-server/config: the `[generic]` section of nbd-server(5). The file that was there before is kept beside it as config.before-netdisk and put back on removal. One that holds more than netdisk knows is refused.",
  shared: true,
  inputs: {
    user: field(account.default("nbd"), { doc: "`user`: account that nbd-server changes to." }),
    group: field(account.default("nbd"), { doc: "`group`: group that nbd-server changes to." }),
    listenAddress: field(z.enum(["127.0.0.1", "localhost", "::1"]).default("localhost"), {
      doc: "`listenaddr`: loopback only; the tunnel brings the client there.",
    }),
    port: field(z.int().min(1024).max(65535).default(nbdPort), { doc: "`port`: TCP port." }),
    allowList: field(z.boolean().default(false), {
      doc: "`allowlist`: whether clients may ask for the names of all exports. The article sets it; it protects nothing.",
    }),
    includeDir: field(z.literal(nbdServerIncludeDir).default(nbdServerIncludeDir), {
      doc: "`includedir`: where the exports are, one file each.",
    }),
  },
  conditions: {
    onlyOurs: { value: true, doc: "The file holds these settings and no others." },
    loaded: { value: true, doc: "The running nbd-server, if there is one, was started with this very text." },
  },
  outputs: {
    written: field(z.boolean(), {
      doc: "netdisk wrote the file: removal takes it away. A file that was as wished from the beginning stays.",
    }),
  },
});

export const authFile = define({
  token: "netdisk:index:AuthFile",
  kind: "auth-file",
  doc: "The article's /etc/nbd-server/allow: addresses that may connect. nbd-server lets everyone in when it cannot read the file, so that is checked too.",
  shared: true,
  inputs: {
    path: field(absolutePath.default(nbdServerAllowFile), {
      doc: "Path on the server.",
      role: "fixed",
      cure: "Keep the path; exports name it.",
    }),
    addresses: field(
      z.array(z.string().regex(/^[0-9a-f.:]+\/[0-9]+$/, "must be ADDRESS/BITS")).default(["127.0.0.1/32"]),
      {
        doc: "Networks in the form ADDRESS/BITS, one line each.",
      },
    ),
    reader: field(account.default("nbd"), { doc: "User that must be able to read the file." }),
  },
  conditions: {
    readable: { value: true, doc: "The reader can read the file (checked as that user)." },
  },
  outputs: {
    written: field(z.boolean(), {
      doc: "netdisk wrote the file: removal takes it away. A file that was as wished from the beginning stays.",
    }),
  },
});

export const service = define({
  token: "netdisk:index:Service",
  kind: "service",
  doc: "nbd-server.service: enabled, running as soon as there is an export, listening on loopback only. Restarting it leaves the sessions of attached disks alone.",
  shared: true,
  inputs: {
    unit: field(z.literal("nbd-server.service").default("nbd-server.service"), {
      doc: "The systemd unit.",
      role: "fixed",
      cure: "Leave it out.",
    }),
  },
  conditions: {
    enabled: { value: true, doc: "Starts at boot." },
    active: { value: true, doc: "Runs; while no export is configured it rests, which counts as in order." },
    dropIn: {
      value: true,
      doc: "Our drop-in and its script are in place and known to systemd: what was loaded is recorded, sessions outlive a restart.",
    },
    loopbackOnly: { value: true, doc: "Every listening socket of nbd-server is on a loopback address." },
  },
  outputs: {
    listening: field(z.array(z.string()), { doc: "Listening sockets of nbd-server, ADDRESS:PORT." }),
    written: field(z.boolean(), { doc: "Our drop-in or its script lies there, with whatever text." }),
  },
});

export const diskExport = define({
  token: "netdisk:index:Export",
  kind: "export",
  doc: "One section of nbd-server(5) in conf.d, in a file of its own, loaded by the running nbd-server.",
  shared: false,
  inputs: {
    name: nameField,
    // A file that says another one is brought back. That the disk itself keeps its path, its backing sees to.
    exportName: field(absolutePath, { doc: "`exportname`: file or block device that is served." }),
    flush: field(z.boolean().default(true), {
      doc: "`flush`: announce that NBD_CMD_FLUSH works. Without it an fsync on the client means nothing: the client does not attach such an export.",
    }),
    fua: field(z.boolean().default(true), {
      doc: "`fua`: announce forced unit access, which saves a round trip per fsync.",
    }),
    sync: field(z.boolean().default(true), {
      doc: "`sync`: an fsync after every write, before it is acknowledged. Without it a power loss of the server loses acknowledged writes that the client will not send again. nbd-server (up to 3.27) takes no notice of an error of that fsync, nor of one for `fua`: with either a failing disk of the server is not noticed.",
    }),
    readOnly: field(z.boolean().default(false), { doc: "`readonly`: refuse writes." }),
    authFile: field(absolutePath.default(nbdServerAllowFile), {
      doc: "`authfile`: addresses that may connect.",
    }),
  },
  conditions: {
    onlyOurs: { value: true, doc: "The file holds this section with these settings and nothing else." },
    loaded: {
      value: true,
      doc: "The running nbd-server was started with, or has since loaded, this very text.",
    },
  },
  outputs: {
    revision: field(z.string(), {
      doc: "The start of nbd-server (systemd's invocation id) from which on it has served the disk with the same text; empty where nobody noted it. Sessions outlive a restart and keep the settings they began with: one that began under another revision may lack flush or sync.",
    }),
  },
});

export const hostKey = define({
  token: "netdisk:index:HostKey",
  kind: "host-key",
  doc: "A host's own SSH host key, read over the connection that was already verified: the client pins the server's.",
  shared: true,
  inputs: {
    algorithm: field(z.enum(["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]).default("ssh-ed25519"), {
      doc: "Which of the host's keys.",
      role: "fixed",
      cure: "Use a second HostKey resource.",
    }),
  },
  conditions: {},
  outputs: {
    publicKey: field(z.string(), { doc: "`ALGORITHM BASE64`, as in known_hosts." }),
  },
});

export const authorizedKey = define({
  token: "netdisk:index:AuthorizedKey",
  kind: "authorized-key",
  doc: "The tunnel key's line in authorized_keys of the account `netdisk`, restricted to forwarding to nbd-server's port: no shell, no other port.",
  shared: false,
  inputs: {
    name: nameField,
    user: field(account.default(tunnelUser), {
      doc: "System account on the server, made if missing, without password and shell.",
      role: "fixed",
      cure: "Keep the account.",
    }),
    publicKey: field(z.string().regex(/^ssh-ed25519 [A-Za-z0-9+/=]+$/, "must be `ssh-ed25519 BASE64`"), {
      doc: "Public key of the tunnel.",
    }),
    permitOpen: field(z.string().default(`127.0.0.1:${nbdPort}`), {
      doc: "The one HOST:PORT that may be reached (sshd(8), permitopen).",
    }),
  },
  conditions: {
    restricted: {
      value: true,
      doc: "The line lets nothing through but this permitopen, no other line has the same key, and the account has neither shell nor write access to it.",
    },
    sshd: {
      value: "accepts",
      doc: "What sshd's configuration says to such a login: `accepts`, or the setting that forbids it.",
    },
  },
  outputs: {},
});
