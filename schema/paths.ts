/** Every path and port that netdisk uses on a host, named once. */

export const nbdPort = 10809;

/** Directory of everything that must survive a reboot and is not configuration: claims, header copies, builds. */
export const libDir = "/var/lib/netdisk";
export const claimsDir = `${libDir}/claims`;
/** What an interrupted destructive step leaves behind, so that the next run may repeat it (provider/intent.ts). */
export const intentDir = `${libDir}/intent`;
export const buildDir = `${libDir}/build`;
/** Volatile state: locks, sockets. */
export const runDir = "/run/netdisk";
export const lockDir = `${runDir}/lock`;
/** What mktemp makes a directory of, for what must not lie on a disk or is there for a moment only. */
export const inMemoryDir = (what: string): string => `/run/netdisk-${what}.XXXXXX`;

/** The order to destroy a disk when it leaves the stack, on either host (schema/erase.ts). */
export const eraseNote = (name: string): string => `${libDir}/erase/${name}`;

export const nbdServerConfig = "/etc/nbd-server/config";
export const nbdServerIncludeDir = "/etc/nbd-server/conf.d";
export const nbdServerAllowFile = "/etc/nbd-server/allow";
/** Where a disk's file lies on the server, unless the user says otherwise. */
export const backingFile = (name: string): string => `${libDir}/${name}.img`;

/** What the server's script noted: which loop device it set up for a disk. Gone after a reboot, as the device is. */
export const loopNote = (name: string): string => `${runDir}/loop/${name}`;
export const loopUnit = (name: string): string => `netdisk-loop@${name}.service`;
/** After 60-persistent-storage.rules. */
export const backingRule = (name: string): string => `/etc/udev/rules.d/61-netdisk-${name}.rules`;

export const nbdServerUnit = "nbd-server.service";
/** Our part of the unit, and the script that it runs around each start and stop. */
export const nbdServerDropIn = `/etc/systemd/system/${nbdServerUnit}.d/netdisk.conf`;
export const nbdServerHook = "/usr/local/lib/netdisk/nbd-server-hook";
export const nbdServerConfigBefore = `${nbdServerConfig}.before-netdisk`;
/** What nbd-server.service was started with: written by its drop-in at each start, digests by file. */
export const nbdServerRecord = `${runDir}/nbd-server.loaded`;
/** Since which start nbd-server has served each export with the text it has now; a reboot does not matter to it. */
export const nbdServerSince = `${libDir}/nbd-server.since`;
export const exportFile = (name: string): string => `${nbdServerIncludeDir}/${name}.conf`;

/** The server's account that the tunnels log in to; it can do nothing but reach nbd-server's port. */
export const tunnelUser = "netdisk";
export const tunnelHome = `${libDir}/tunnel`;

/** The server's account that sessions log in to: each of its keys has one disk's script as its forced command. */
export const serveUser = "netdisk-serve";
export const serveHome = `${libDir}/serve`;
/** Unix socket on the server where a disk's forced command connects; systemd starts a session for each connection. */
export const serveSocket = (name: string): string => `${runDir}/serve/${name}.sock`;
export const serveSocketUnit = (name: string): string => `netdisk-serve-${name}.socket`;
export const serveUnit = (name: string): string => `netdisk-serve-${name}@.service`;
/** Who may write to a disk, and which attachments never may again. Stays on the server for good. */
export const leaseFile = (name: string): string => `${libDir}/lease/${name}`;
export const serveLock = (name: string): string => `${lockDir}/serve-${name}`;

export const etcDir = "/etc/netdisk";
/** Not below libDir, where disks' files lie: what hides the right file may not hide the note of it, too. */
export const madeDir = `${etcDir}/made`;
/** What netdisk made or took for a disk: inode and birth of its file, or identity and size of its device. */
export const madeNote = (name: string): string => `${madeDir}/${name}`;
export const keyFile = (name: string): string => `${etcDir}/keys/${name}.key`;
export const tunnelKeyFile = (name: string): string => `${etcDir}/tunnel/${name}.ed25519`;
export const serveConfigDir = `${etcDir}/serve`;
/** Configuration of nbd-server for one disk's sessions; not below conf.d, where the daemon would serve it to everybody. */
export const serveConfig = (name: string): string => `${serveConfigDir}/${name}.conf`;
export const sshConfigFile = (name: string): string => `${etcDir}/tunnel/${name}.ssh_config`;
export const knownHostsFile = (name: string): string => `${etcDir}/tunnel/${name}.known_hosts`;
/** What systemd's password agents know the question for the key's passphrase by. */
export const passphraseId = (name: string): string => `netdisk:${name}`;
/** The client's own copy of the LUKS header: the one that is used, because the server may change its own. */
export const headerFile = (name: string): string => `${libDir}/headers/${name}.luks`;
export const recoveryFile = (name: string): string => `${libDir}/recovery/${name}.gpg`;

/** What a host brings up at boot by itself; netdisk reads both, and writes to neither. */
export const fstab = "/etc/fstab";
export const crypttab = "/etc/crypttab";

export const unitDir = "/etc/systemd/system";
export const diskTarget = (name: string): string => `netdisk@${name}.target`;
export const tunnelUnit = (name: string): string => `netdisk-tunnel@${name}.service`;
export const sessionUnit = (name: string): string => `netdisk-session@${name}.service`;
export const attachUnit = (name: string): string => `netdisk-attach@${name}.service`;
export const openUnit = (name: string): string => `netdisk-open@${name}.service`;
export const mountUnit = (name: string): string => `netdisk-mount@${name}.service`;
/** Momentary: the target's start waits for it, and it for the mount. */
export const upUnit = (name: string): string => `netdisk-up@${name}.service`;
/** The target's stop waits for it, and it for the whole chain. */
export const downUnit = (name: string): string => `netdisk-down@${name}.service`;
/** Held while a free nbd device is looked for and taken. */
export const attachLock = `${lockDir}/attach`;
/** How the last exchange of the connection below an open disk ended (templates/attach.sh). */
export const attachAnswer = (name: string): string => `${runDir}/${name}.attach`;
/** Which units of a disk were active when its attachment was ended to be made by another transport. */
export const attachLeft = (name: string): string => `${runDir}/${name}.left`;
/** Scripts that the units run. */
export const scriptDir = "/usr/local/lib/netdisk";
/** `open@photos`, run by the unit and by the attachment's script. */
export const unitScript = (step: string, name: string): string => `${scriptDir}/${step}@${name}`;

export const serveScript = (name: string): string => `${scriptDir}/serve@${name}`;
export const serveRelay = (name: string): string => `${scriptDir}/serve-relay@${name}`;
export const sessionScript = (name: string): string => `${scriptDir}/session@${name}`;

/** Where agent/ is built, and what it leaves: plugin, helper, and the digests of both. */
export const agentSource = `${buildDir}/agent`;
export const sessionPluginFile = `${scriptDir}/nbdkit-netdisk-session-plugin.so`;
export const sessionHelper = `${scriptDir}/netdisk-helper`;
export const sessionManifest = `${libDir}/session-plugin.sums`;
export const netdiskCommand = "/usr/local/sbin/netdisk";
export const sleepUnit = "netdisk-sleep.service";

/** Sockets, retained writes and the attachment's id, for as long as this boot lasts. */
export const sessionDir = (name: string): string => `${runDir}/${name}`;
export const sessionSocket = (name: string): string => `${sessionDir(name)}/nbd.sock`;
export const sessionControl = (name: string): string => `${sessionDir(name)}/control.sock`;
/** Which nbd device is this disk's, and by which connection (templates/attached.sh). */
export const sessionAttached = (name: string): string => `${sessionDir(name)}/attached`;
/** Where it is said what was given up unwritten, until the next start has said it, too. */
export const givenUpFile = (name: string): string => `${libDir}/given-up/${name}`;

/** Of a folder that is the tunnel's alone: systemd removes it with the tunnel, and a session may have come in its place. */
export const tunnelSocket = (name: string): string => `${runDir}/tunnel/${name}/nbd.sock`;
export const deviceDir = "/dev/netdisk";
/** On the client the attached device, on the server the loop device. */
export const attachedDevice = (name: string): string => `${deviceDir}/${name}`;
export const mappedDevice = (name: string): string => `/dev/mapper/${name}`;

export const nbdPrefix = "/opt/nbd";
/** What was built, from what, with the digest of each program; in the prefix, moved into place with it. */
export const nbdManifest = (prefix: string): string => `${prefix}/.netdisk.json`;
export const nbdSource = `${buildDir}/nbd`;
/** `make install` goes here first (DESTDIR). The last finished build stays here, over a destroy too. */
export const nbdStage = `${buildDir}/nbd-stage`;
/** What is to be built: commit and digest of the configuration. */
export const nbdWanted = `${buildDir}/nbd-wanted`;
/** Which steps are done in the source, of what is wanted; goes with the source. */
export const nbdDone = `${nbdSource}/.git/netdisk-done`;
/** The commit that a tag meant when it was first asked for: one that moved is refused. */
export const nbdTagNote = (digest: string): string => `${buildDir}/nbd-tag-${digest}`;

export const modulesLoadFile = "/etc/modules-load.d/netdisk.conf";
export const modprobeFile = "/etc/modprobe.d/netdisk.conf";
/** Before 60-persistent-storage.rules, which would read the device. */
export const probeGuardFile = "/etc/udev/rules.d/59-netdisk.rules";
export const needrestartFile = "/etc/needrestart/conf.d/netdisk.conf";
