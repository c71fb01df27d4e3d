/** Turns a definition (schema/) into an SDK class, so that no argument, type or secret is written down twice. */
import * as pulumi from "@pulumi/pulumi";
import type * as z from "zod";
import type { Args, Definition, Field, Unobserved } from "../schema/define";
import { refuseMistakes } from "./mistakes";

/** The wishes as a program writes them: fields with a default may be left out, each may be an output of another resource. */
export type InputsOf<D> = { [K in keyof Args<D>]: pulumi.Input<Args<D>[K]> };

type Widen<V> = V extends boolean ? boolean : string;

/** What was read on the host, as outputs. Inputs that cannot be read back, such as secrets, are left out. */
export type OutputsOf<D> =
  D extends Definition<infer I, infer C, infer O>
    ? {
        readonly [
          K in keyof I as I[K] extends Field<z.ZodType, true> | Unobserved ? never : K
        ]: pulumi.Output<z.output<I[K]["schema"]>>;
      } & { readonly [K in keyof C]: pulumi.Output<Widen<C[K]["value"]>> } & {
        readonly [K in keyof O]: pulumi.Output<z.output<O[K]["schema"]>>;
      }
    : never;

/** Constructor of the SDK class of one resource type. */
export interface ResourceClass<D extends Definition> {
  new (
    name: string,
    args: InputsOf<D>,
    opts?: pulumi.CustomResourceOptions,
  ): pulumi.CustomResource & OutputsOf<D>;
  /** The type's token, `netdisk:index:BackingFile`. */
  readonly token: string;
}

/**
 * The SDK class of a definition. Mistakes in plain arguments surface in the constructor, before anything runs;
 * values that other resources have yet to produce are checked by the provider.
 * @throws pulumi.RunError naming every mistake with its path.
 */
export function resourceOf<D extends Definition>(definition: D): ResourceClass<D> {
  const { token, inputs, conditions, outputs } = definition;
  const observed = [...Object.keys(conditions), ...Object.keys(outputs)];
  const secretOutputs = Object.keys(outputs).filter((key) => outputs[key]?.secret);

  class Resource extends pulumi.CustomResource {
    static readonly token = token;

    constructor(name: string, args: Record<string, unknown>, opts: pulumi.CustomResourceOptions = {}) {
      refuseMistakes(`${token} "${name}"`, inputs, args);
      // Keys without a value become outputs of the class all the same.
      const properties: pulumi.Inputs = Object.fromEntries(
        [...Object.keys(inputs), ...observed].map((key) => [key, undefined]),
      );
      for (const [key, value] of Object.entries(args)) {
        properties[key] = inputs[key]?.secret ? pulumi.secret(value) : value;
      }
      super(token, name, properties, pulumi.mergeOptions(opts, { additionalSecretOutputs: secretOutputs }));
    }
  }
  // The class makes its properties at run time, from the very definition that the type is made from.
  return Resource as unknown as ResourceClass<D>;
}
