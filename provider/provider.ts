/** What the engine's requests mean, one method each; wire/server.ts carries them. */
import { isObserved } from "../schema/define";
import { check, type Checked, type Failure, knownWishes, unknownFields } from "./check";
import { checkConfiguration, Configuration, type Hosts } from "./configuration";
import { type Change, diff, type Sides } from "./diff";
import { apply, remove } from "./lifecycle";
import { preview } from "./preview";
import { maskOf, progressOf } from "./progress";
import { present, read, type Read } from "./read";
import { type Registry, typeOf } from "./registry";
import { nameOf, type Present, type Request } from "./request";
import type { ResourceType } from "./resource";
import type { Log } from "./wire/engine";
import { equal, plain, type Properties, unknown } from "./wire/values";

export interface Target {
  token: string;
  urn: string;
  signal: AbortSignal;
}

export interface Wish extends Target {
  inputs: Properties;
  preview: boolean;
}

export interface Existing {
  id: string;
  inputs: Properties;
  outputs: Properties;
}

export class Provider {
  #configuration?: Configuration;
  /** Who asked for which thing in this run: two resources for one thing would undo each other for ever. */
  readonly #asked = new Map<string, string>();

  constructor(
    private readonly types: Registry,
    private readonly hosts: Hosts,
    private readonly log: Log,
  ) {}

  attach(address: string): void {
    this.log.attach(address);
  }

  /** The engine's address. */
  get engine(): string {
    if (this.log.address === undefined) throw new Error("the engine did not say where it is");
    return this.log.address;
  }

  /** Of its own configuration: no message may have them, whatever it is about. */
  get secrets(): unknown {
    return this.#configuration?.secrets;
  }

  checkConfig(news: Properties): Checked {
    return checkConfiguration(news);
  }

  /** Never a replacement: it would replace every resource of the host. */
  diffConfig(olds: Properties, news: Properties): string[] {
    const keys = [...new Set([...Object.keys(olds), ...Object.keys(news)])];
    return keys.filter((key) => {
      const [before, after] = [plain(olds[key]), plain(news[key])];
      return before.unknown || after.unknown || !equal(before.value, after.value);
    });
  }

  async configure(config: Properties): Promise<void> {
    await this.#configuration?.close();
    this.#asked.clear();
    this.#configuration = new Configuration(config, this.hosts);
  }

  check(token: string, urn: string, olds: Properties | undefined, news: Properties): Checked {
    const type = typeOf(this.types, token);
    const checked = check(type, olds, news);
    if (checked.failures.length === 0) checked.failures.push(...this.#duplicate(type, urn, checked.inputs));
    return checked;
  }

  diff(token: string, sides: Sides): Record<string, Change> {
    return diff(typeOf(this.types, token), sides);
  }

  async create(wish: Wish): Promise<Present> {
    const type = typeOf(this.types, wish.token);
    if (wish.preview) return { id: "", outputs: await this.#preview(type, wish) };
    const request = this.#request(type, wish, { patient: true, mask: [wish.inputs] });
    return apply(request, { name: type.name(knownWishes(type, wish.inputs)), inputs: wish.inputs });
  }

  async update(wish: Wish, existing: Existing): Promise<Properties> {
    const type = typeOf(this.types, wish.token);
    if (wish.preview) return this.#preview(type, wish, existing);
    const request = this.#request(type, wish, { mask: [wish.inputs, existing] });
    const name = nameOf(type, existing.id);
    return (await apply(request, { name, inputs: wish.inputs, outputs: existing.outputs })).outputs;
  }

  /**
   * Undefined: the thing, or its host, is proven not there. Where the state must outlive the host it stays, without its
   * claim, so that the next host gets what it describes.
   */
  async read(target: Target, existing: Existing): Promise<Read | undefined> {
    const type = typeOf(this.types, target.token);
    if (await this.#configuration?.isGone()) {
      return type.keepWhenGone ? present(type, existing, { ...existing.outputs, claimed: false }) : undefined;
    }
    return read(this.#request(type, target, { mask: [existing] }), existing.id, existing);
  }

  async remove(target: Target, existing: Existing): Promise<void> {
    const type = typeOf(this.types, target.token);
    const request = this.#request(type, target, { mask: [existing] });
    if (await this.#configuration?.isGone()) {
      request.progress.say(
        `${request.host.label}: ${existing.id} is given up with its host, as NETDISK_HOST_GONE says: nothing is changed there.`,
        "info",
      );
      return;
    }
    await remove(request, existing.id, existing);
  }

  async close(): Promise<void> {
    await this.#configuration?.close();
  }

  #request(type: ResourceType, target: Target, options: { patient?: boolean; mask: unknown[] }): Request {
    if (!this.#configuration) throw new Error("the engine did not configure the provider");
    const access = this.#configuration.access(options.patient ?? false);
    const progress = progressOf(this.log, target.urn, maskOf(this.secrets, ...options.mask));
    const asked = (kind: string, name: string) => this.#asked.has(`${kind}/${name}`);
    return { ...access, type, urn: target.urn, signal: target.signal, progress, asked };
  }

  /** What `up` will make of it, as far as it is known before; says on the way what it would run. */
  async #preview(type: ResourceType, wish: Wish, existing?: Existing): Promise<Properties> {
    const { definition } = type;
    const foreseeable =
      existing !== undefined || unknownFields(type, wish.inputs).length === 0 || type.suitable !== undefined;
    if (this.#configuration?.known && foreseeable) {
      const name = existing ? nameOf(type, existing.id) : type.name(knownWishes(type, wish.inputs));
      await preview(this.#request(type, wish, { mask: [wish.inputs, existing] }), {
        name,
        inputs: wish.inputs,
        outputs: existing?.outputs,
        oldInputs: existing?.inputs,
      });
    }
    const outputs: Properties = { claim: existing?.outputs.claim ?? unknown };
    const predicted: Properties = this.#predict(type, wish.inputs);
    for (const key of Object.keys(definition.outputs)) {
      const last = type.renewed?.includes(key) ? undefined : existing?.outputs[key];
      outputs[key] = predicted[key] ?? last ?? unknown;
    }
    // Inputs hold the conditions, too.
    for (const [key, value] of Object.entries(wish.inputs)) {
      const field = definition.inputs[key];
      if (!field || isObserved(field)) outputs[key] = value;
    }
    return outputs;
  }

  /** Needs all wishes: a type cannot tell from which of them an output is made. */
  #predict(type: ResourceType, inputs: Properties): Properties {
    if (unknownFields(type, inputs).length > 0) return {};
    return type.predict?.(knownWishes(type, inputs)) ?? {};
  }

  #duplicate(type: ResourceType, urn: string, inputs: Properties): Failure[] {
    if (unknownFields(type, inputs).length > 0) return [];
    const wishes = knownWishes(type, inputs);
    const [name, file] = [type.name(wishes), type.ownFile?.(wishes)];
    const { kind, inputs: fields } = type.definition;
    const property = "name" in fields ? "name" : "";
    const other = this.#askedBefore(`${kind}/${name}`, urn);
    if (other !== undefined) {
      const reason = `"${name}" is already managed by ${other}. Use that resource, or another name.`;
      return [{ property, reason }];
    }
    const sharer = file && this.#askedBefore(`${kind} with ${file.path}`, urn);
    if (sharer === undefined) return [];
    const path = Object.keys(inputs).find((key) => plain(inputs[key]).value === file?.path);
    return [{ property: path ?? property, reason: `${file?.path} is that of ${sharer}, too. ${file?.cure}` }];
  }

  /** The other resource that has asked for it in this run, or undefined. */
  #askedBefore(what: string, urn: string): string | undefined {
    const before = this.#asked.get(what);
    if (before === undefined) this.#asked.set(what, urn);
    return before === urn ? undefined : before;
  }
}
