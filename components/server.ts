import * as pulumi from "@pulumi/pulumi";
import { endpointCure, joinEndpoint, isPlainAddress } from "../schema/endpoint";
import { refuseHostMistakes } from "./mistakes";
import { connectionOf, Provider, type ConnectionArgs } from "./provider";
import { AuthFile, HostKey, Packages, ServerConfig, Service } from "./resources";

export type ServerArgs = ConnectionArgs & {
  /**
   * The server's SSH port as the client dials it, `HOST:PORT`.
   * @default `host` and `port`, where `host` is an address or a full name and not an alias of ssh_config
   * @example "203.0.113.7:22"
   */
  endpoint?: pulumi.Input<string>;
  /**
   * Whether clients may ask nbd-server for the names of all exports.
   * @default false
   */
  allowList?: pulumi.Input<boolean>;
  /** The host through which the client reaches the server, where it cannot dial it itself. */
  jump?: JumpArgs;
};

export interface JumpArgs {
  /**
   * The jump host's SSH port as the client dials it, `HOST:PORT`.
   * @example "198.51.100.4:22"
   */
  endpoint: pulumi.Input<string>;
  /** Login on the jump host. */
  user: pulumi.Input<string>;
  /**
   * Path on the client of the private key that opens the jump host, without a passphrase.
   * @example "/root/.ssh/gate"
   */
  identityFile: pulumi.Input<string>;
  /** The jump host's public key, `ALGORITHM BASE64`. */
  hostKey: pulumi.Input<string>;
}

/** What a rented, untrusted host has once, to serve any number of disks: nbd-server on localhost. */
export class Server extends pulumi.ComponentResource {
  /** Reaches the host; give it to resources of your own that belong there. */
  readonly provider: Provider;
  readonly packages: Packages;
  readonly config: ServerConfig;
  readonly authFile: AuthFile;
  readonly service: Service;
  /** The host's own SSH key, which sessions and tunnels pin. */
  readonly hostKey: HostKey;
  /** The server as the client dials it, `HOST:PORT`. */
  readonly endpoint: pulumi.Output<string>;
  /** What the client goes through to get there. */
  readonly jump: JumpArgs | undefined;
  /** How this machine reaches the host. */
  readonly connection: ConnectionArgs;
  /** The host's resource, where the caller named one: what lies on the host is gone with it. */
  readonly deletedWith: pulumi.Resource | undefined;

  constructor(name: string, args: ServerArgs, opts?: pulumi.ComponentResourceOptions) {
    refuseHostMistakes("server", name, args);
    super("netdisk:index:Server", name, {}, opts);
    this.deletedWith = opts?.deletedWith;
    this.endpoint = endpointOf(name, args);
    this.jump = args.jump;
    this.connection = connectionOf(args);
    this.provider = new Provider(name, { ...this.connection, role: "server" }, { parent: this });

    const child = (...dependsOn: pulumi.Resource[]) => ({ parent: this, provider: this.provider, dependsOn });
    this.hostKey = new HostKey(name, {}, child());
    // iproute2: `ss` shows where nbd-server listens; minimal images lack it.
    this.packages = new Packages(name, { name: "server", packages: ["nbd-server", "iproute2"] }, child());
    // The package brings the account and the directory that these need.
    this.config = new ServerConfig(
      name,
      args.allowList === undefined ? {} : { allowList: args.allowList },
      child(this.packages),
    );
    this.authFile = new AuthFile(name, { reader: this.config.user }, child());
    this.service = new Service(name, {}, child(this.config, this.authFile));

    this.registerOutputs({ endpoint: this.endpoint, hostKey: this.hostKey.publicKey });
  }

  /** The host's SSH key, read over netdisk's own connection. */
  ownKey(): pulumi.Output<string> {
    return this.hostKey.publicKey;
  }
}

function endpointOf(name: string, args: ServerArgs): pulumi.Output<string> {
  return pulumi.all([args.endpoint, args.host, args.port]).apply(([endpoint, host, port]) => {
    if (endpoint !== undefined) return endpoint;
    if (host !== undefined && isPlainAddress(host)) return joinEndpoint(host, port ?? 22);
    const why =
      host === undefined ? "it has no address" : `"${host}" may be an alias that only this machine knows`;
    throw new pulumi.RunError(
      `server "${name}": where the client reaches it is unknown: ${why}. ${endpointCure}`,
    );
  });
}
