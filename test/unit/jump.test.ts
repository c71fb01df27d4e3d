/** A host on the way that nobody names any more is taken out, although any value is in order of other optional wishes. */
import { expect, it } from "vitest";
import { diff } from "../../provider/diff";
import { session } from "../../provider/resources/session";
import { tunnel } from "../../provider/resources/tunnel";
import type { ResourceType } from "../../provider/resource";

const jump = { endpoint: "198.51.100.4:2222", user: "gate", identityFile: "/root/.ssh/gate" };
const seen = {
  name: "t1",
  endpoint: "203.0.113.7:22",
  user: "netdisk",
  installed: true,
  active: true,
  claimed: true,
};

const changes = (type: ResourceType, through: object, wish: object) => {
  const rest = { ...seen, remote: "127.0.0.1:10809", retain: "64 MiB", build: "b" };
  const news = Object.fromEntries(Object.entries(rest).filter(([key]) => key in type.definition.inputs));
  return Object.keys(
    diff(type, { oldInputs: news, state: { ...rest, ...through, claim: "n" }, news: { ...news, ...wish } }),
  );
};

it.each([
  ["Tunnel", tunnel as unknown as ResourceType],
  ["Session", session as unknown as ResourceType],
])("%s", (_, type) => {
  expect(changes(type, { jump }, { jump })).toEqual([]);
  expect(changes(type, {}, {})).toEqual([]);
  expect(changes(type, { jump }, {})).toEqual(["jump"]);
  expect(changes(type, {}, { jump })).toEqual(["jump"]);
});
