/** The command line of `npm run new-stack`. */
import { expect, it } from "vitest";
import { flags, ownFlags, readFlags } from "../../tools/newStackFlags";

it("has a flag for each key, and none that means something else as well", () => {
  expect(Object.keys(flags)).toEqual(expect.arrayContaining(["server.host", "file.size", "name"]));
  expect([...ownFlags, "NAME"].filter((name) => name in flags)).toEqual([]);
});

it.each([[["home", "--name", "pics"]], [["--name", "pics", "home"]], [["--name=pics", "home"]]])(
  "tells the stack's name from its disk's: %j",
  (args) => {
    expect(readFlags(args)).toEqual({ NAME: "home", name: "pics" });
  },
);

it("refuses the stack's name as a flag, and a second one", () => {
  expect(() => readFlags(["--NAME", "home"])).toThrow("unknown flag --NAME");
  expect(() => readFlags(["home", "away"])).toThrow('one NAME is enough, but "away" came too.');
});
