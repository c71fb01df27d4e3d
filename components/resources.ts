/**
 * The SDK classes of all resource types, for programs that compose disks in their own way; most use Server,
 * Client and EncryptedDisk. What each is and takes: schema/ and the reference page.
 */
import { definitions } from "../schema/index";
import { resourceOf } from "./resource";

// Server
export class Packages extends resourceOf(definitions.Packages) {}
export class BackingFile extends resourceOf(definitions.BackingFile) {}
export class LoopDevice extends resourceOf(definitions.LoopDevice) {}
export class BlockDevice extends resourceOf(definitions.BlockDevice) {}
export class ServerConfig extends resourceOf(definitions.ServerConfig) {}
export class AuthFile extends resourceOf(definitions.AuthFile) {}
export class Service extends resourceOf(definitions.Service) {}
export class Export extends resourceOf(definitions.Export) {}
export class Serve extends resourceOf(definitions.Serve) {}
export class HostKey extends resourceOf(definitions.HostKey) {}
export class AuthorizedKey extends resourceOf(definitions.AuthorizedKey) {}

// Client
export class SourceBuild extends resourceOf(definitions.SourceBuild) {}
export class KernelModule extends resourceOf(definitions.KernelModule) {}
export class ProbeGuard extends resourceOf(definitions.ProbeGuard) {}
export class TunnelKey extends resourceOf(definitions.TunnelKey) {}
export class KnownHost extends resourceOf(definitions.KnownHost) {}
export class Tunnel extends resourceOf(definitions.Tunnel) {}
export class SessionPlugin extends resourceOf(definitions.SessionPlugin) {}
export class Session extends resourceOf(definitions.Session) {}
export class Attachment extends resourceOf(definitions.Attachment) {}
export class LuksKey extends resourceOf(definitions.LuksKey) {}
export class Luks extends resourceOf(definitions.Luks) {}
export class Recovery extends resourceOf(definitions.Recovery) {}
export class Mapping extends resourceOf(definitions.Mapping) {}
export class Filesystem extends resourceOf(definitions.Filesystem) {}
export class Mount extends resourceOf(definitions.Mount) {}
export class DiskTarget extends resourceOf(definitions.DiskTarget) {}

// The order to destroy a disk when it leaves the stack, on either host
export class Erase extends resourceOf(definitions.Erase) {}
export class EraseFile extends resourceOf(definitions.EraseFile) {}
