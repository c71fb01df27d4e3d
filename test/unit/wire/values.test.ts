import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { describe, expect, it } from "vitest";
import type { Unknown } from "../../../provider/wire/values";
import { decode, encode, equal, plain, unknown } from "../../../provider/wire/values";
import { Secret } from "../../../schema/secret";

const signature = "4dabf18193072939515e22adb298388d";
const wireSecret = (value: string) => ({ [signature]: "1b47061264138c4ac30d75fd1eb44270", value });

describe("decode", () => {
  it("turns the engine's magic into Secret and Unknown, at any depth", () => {
    const decoded = decode(
      Struct.fromJavaScript({
        plain: "x",
        key: wireSecret("k"),
        list: ["a", wireSecret("b"), "04da6b54-80e4-46f7-96ec-b56ff0331ba9"],
        number: "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
      }),
    );
    expect(decoded.plain).toBe("x");
    expect((decoded.key as Secret).reveal()).toBe("k");
    const [first, second, third] = decoded.list as [string, Secret, Unknown];
    expect([first, second.reveal(), third]).toEqual(["a", "b", unknown]);
    expect(decoded.number).toBe(unknown);
  });

  it("shows stars for a secret wherever text is made of it", () => {
    const decoded = decode(Struct.fromJavaScript({ key: wireSecret("k") }));
    expect(JSON.stringify(decoded)).toBe('{"key":"***"}');
  });
});

describe("encode", () => {
  it("is the opposite of decode, and strips what is undefined at any depth", () => {
    const properties = {
      a: new Secret({ b: [1, new Secret("c")] }),
      d: unknown,
      e: null,
      f: [true],
      g: undefined,
    };
    const back = decode(encode({ ...properties, h: { i: undefined, j: 1 } }));
    expect("g" in back).toBe(false);
    expect(back).toMatchObject({ d: unknown, e: null, f: [true], h: { j: 1 } });
    expect(plain(back.a)).toEqual({ value: { b: [1, "c"] }, secret: true, unknown: false });
  });
});

describe("plain", () => {
  it("tells whether anything in a value is secret or unknown", () => {
    expect(plain(["a", unknown])).toMatchObject({ unknown: true, secret: false });
    expect(plain({ a: new Secret("x") })).toEqual({ value: { a: "x" }, unknown: false, secret: true });
  });
});

describe("equal", () => {
  it.each([
    [{ a: 1, b: [2] }, { b: [2], a: 1 }, true],
    [{ a: 1 }, { a: 1, b: undefined }, true],
    [[1, 2], [2, 1], false],
    [{ a: 1 }, [1], false],
    [null, undefined, false],
  ])("%j and %j: %s", (a, b, same) => expect(equal(a, b)).toBe(same));
});
