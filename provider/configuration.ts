/** The provider's configuration: one host, opened on first use. */
import { connection, hostCure } from "../schema/connection";
import { type Checked, checkFields, parseFields } from "./check";
import { Claims } from "./claims";
import { NetdiskError, Unreachable } from "./errors";
import type { Host } from "./host/host";
import type { Connection } from "./host/open";
import { sh } from "./host/sh";
import { refuseOtherPlatforms } from "./platform";
import { plain, type Properties } from "./wire/values";

/** What the provider needs of provider/host/open.ts; tests bring their own. */
export interface Hosts {
  /** Opens nothing yet; the Host connects on first use. */
  openHost(connection: Connection, options: { bootTimeoutMs: number }): Host;
  /** SHA256 fingerprints of the pinned keys. */
  hostFingerprints(connection: Connection): Promise<string[]>;
}

/** What the engine adds to every provider's configuration. */
const engineKeys = new Set(["version", "pluginDownloadURL", "__internal", "parameterization"]);

/** SDKs send numbers in provider configuration as JSON text. */
function parsed(key: string, value: unknown): unknown {
  const field = Object.entries(connection).find(([name]) => name === key)?.[1];
  if (!field || typeof value !== "string" || field.schema.safeParse(value).success) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

const ownKeys = (config: Properties): Properties =>
  Object.fromEntries(
    Object.entries(config)
      .filter(([key]) => !engineKeys.has(key))
      .map(([key, value]) => [key, parsed(key, value)]),
  );

/**
 * Without any key it is the provider that the engine starts by itself for a program's components. It reaches no host;
 * the components bring a provider for each of theirs.
 */
export function checkConfiguration(news: Properties): Checked {
  if (Object.keys(ownKeys(news)).length === 0) return { inputs: news, failures: [] };
  const { inputs, failures } = checkFields(connection, ownKeys(news));
  const given = (key: string) => plain(inputs[key]);
  if (given("connection").value === "ssh" && given("host").value === undefined && !given("host").unknown) {
    failures.push({ property: "host", reason: `is missing. ${hostCure}` });
  }
  // The engine's own keys stay where they are.
  return { inputs: { ...news, ...inputs }, failures };
}

export interface Access {
  host: Host;
  claims: Claims;
  /** Asks once per host. @throws NetdiskError for a host that netdisk must leave as it is. */
  suitable: () => Promise<void>;
}

function suitability(host: Host): () => Promise<void> {
  let asked: Promise<void> | undefined;
  return () => {
    asked ??= refuseOtherPlatforms(host).catch((error: unknown) => {
      // It may be another one, or another login, by the next time.
      asked = undefined;
      throw error;
    });
    return asked;
  };
}

export class Configuration {
  readonly #connection?: Connection;
  /** Why there is no connection, and what helps. */
  readonly #without: string;
  #access?: Access & { patient: boolean };
  #gone?: Promise<boolean>;

  constructor(
    config: Properties,
    private readonly hosts: Hosts,
  ) {
    const own = ownKeys(config);
    if (Object.keys(own).length === 0) {
      this.#without = "A netdisk resource needs a provider that says which host it is on. Give it one.";
      return;
    }
    this.#without = "The host's address is not known yet. Run `pulumi up`.";
    const unknownKeys = Object.keys(own).filter((key) => plain(own[key]).unknown);
    if (unknownKeys.length === 0) this.#connection = parseFields(connection, own) as unknown as Connection;
  }

  /** False in a preview whose host is still to be made: then nobody is reached. */
  get known(): boolean {
    return this.#connection !== undefined;
  }

  /** Whatever of it is a secret, somewhere in there. */
  get secrets(): unknown {
    return this.#connection;
  }

  /** @param patient The host may still be booting: a create waits for it, a read does not. */
  access(patient: boolean): Access {
    if (!this.#connection) {
      throw new NetdiskError("CONFIG", this.#without);
    }
    if (!this.#access || (patient && !this.#access.patient)) {
      const seconds = patient ? (this.#connection.bootTimeout ?? 0) : 0;
      // Without a boot timeout both are the same connection.
      if (!this.#access || seconds > 0) {
        const host = this.hosts.openHost(this.#connection, { bootTimeoutMs: seconds * 1000 });
        this.#access = { host, claims: new Claims(host), suitable: suitability(host), patient };
      }
    }
    return this.#access;
  }

  /**
   * Whether the user said, by its pinned key, that this host no longer exists.
   * @throws NetdiskError CONFIG where it answers all the same, be it by a refusal: what is on it would be left to itself,
   * and a client would go on writing to the disk that the next one opens.
   */
  isGone(): Promise<boolean> {
    return (this.#gone ??= this.#isGivenUp());
  }

  async #isGivenUp(): Promise<boolean> {
    const gone = process.env.NETDISK_HOST_GONE;
    if (gone === undefined || gone === "" || !this.#connection) return false;
    if (!(await this.hosts.hostFingerprints(this.#connection)).includes(gone)) return false;
    const { host } = this.access(false);
    let found = "";
    try {
      await host.exec(sh`true`);
    } catch (error) {
      if (!(error instanceof NetdiskError) || error.code !== "UNREACHABLE") throw error;
      if (!(error instanceof Unreachable) || !error.answered) return true;
      found = ` (${error.message})`;
    }
    throw new NetdiskError(
      "CONFIG",
      `${host.label} answers with its pinned key${found}, and NETDISK_HOST_GONE=${gone} says that it no longer exists. ` +
        "Unset the variable and run the same again; to give up a host that cannot be mended, switch it off first.",
    );
  }

  async close(): Promise<void> {
    await this.#access?.host.close();
  }
}
