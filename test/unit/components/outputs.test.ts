/** What a program may take from a resource; `tsc` is what checks it. */
import { expectTypeOf, it } from "vitest";
import type * as netdisk from "../../../components";

it("has an output for what the provider reads, and none for what it never returns", () => {
  expectTypeOf<netdisk.Luks>().toHaveProperty("cipher");
  expectTypeOf<netdisk.Luks>().not.toHaveProperty("adopt");
  expectTypeOf<netdisk.Mapping>().not.toHaveProperty("keyReading");
  expectTypeOf<netdisk.Recovery>().not.toHaveProperty("keySlot");
});
