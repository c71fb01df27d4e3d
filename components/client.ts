import * as pulumi from "@pulumi/pulumi";
import { clientPackages, sessionPackages } from "../schema/clientPackages";
import { refuseHostMistakes } from "./mistakes";
import { connectionOf, Provider, type ConnectionArgs } from "./provider";
import { HostKey, KernelModule, Packages, ProbeGuard, SessionPlugin, SourceBuild } from "./resources";

export interface NbdArgs {
  /**
   * Git repository with nbd's sources, as the client reaches it.
   * @default "https://github.com/NetworkBlockDevice/nbd.git"
   */
  repository?: pulumi.Input<string>;
  /**
   * Tag, branch or commit to build. The commit it resolved to is an output of the build.
   * @default "nbd-3.26.1"
   */
  ref?: pulumi.Input<string>;
}

export type ClientArgs = ConnectionArgs & {
  /** The nbd that is built on the client. */
  nbd?: NbdArgs;
};

/** What the trusted host has once, to mount any number of disks: nbd from git, the kernel module, a guard. */
export class Client extends pulumi.ComponentResource {
  /** Reaches the host; give it to resources of your own that belong there. */
  readonly provider: Provider;
  readonly packages: Packages;
  /** The article's nbd-client from git. */
  readonly build: SourceBuild;
  readonly kernelModule: KernelModule;
  readonly probeGuard: ProbeGuard;
  /** How this machine reaches the host. */
  readonly connection: ConnectionArgs;
  private hostKey: HostKey | undefined;
  private plugin: SessionPlugin | undefined;
  private readonly name: string;

  constructor(name: string, args: ClientArgs, opts?: pulumi.ComponentResourceOptions) {
    refuseHostMistakes("client", name, args);
    super("netdisk:index:Client", name, {}, opts);
    this.name = name;
    this.connection = connectionOf(args);
    this.provider = new Provider(name, { ...this.connection, role: "client" }, { parent: this });

    const child = (...dependsOn: pulumi.Resource[]) => ({ parent: this, provider: this.provider, dependsOn });
    this.packages = new Packages(name, { name: "client", packages: clientPackages }, child());
    this.build = new SourceBuild(name, { ...args.nbd }, child(this.packages));
    this.probeGuard = new ProbeGuard(name, {}, child());
    this.kernelModule = new KernelModule(name, {}, child(this.packages));

    this.registerOutputs({ nbdCommit: this.build.commit });
  }

  /** The host's SSH key, read over netdisk's own connection; made when the first disk's commands ask for it. */
  ownKey(): pulumi.Output<string> {
    this.hostKey ??= new HostKey(this.name, {}, { parent: this, provider: this.provider });
    return this.hostKey.publicKey;
  }

  /** nbdkit with netdisk's plugin; made when the first disk with `transport: session` asks for it. */
  sessionPlugin(): SessionPlugin {
    if (this.plugin) return this.plugin;
    const child = (...dependsOn: pulumi.Resource[]) => ({ parent: this, provider: this.provider, dependsOn });
    const packages = new Packages(
      `${this.name}-session`,
      { name: "session", packages: sessionPackages },
      child(this.packages),
    );
    this.plugin = new SessionPlugin(this.name, {}, child(packages));
    return this.plugin;
  }
}
