/** Which URLs hold a login, and what a message shows of one. */
import { expect, it } from "vitest";
import { checkFields } from "../../provider/check";
import { sourceBuild } from "../../schema/client";
import { holdsLogin, maskLogins, withoutLogin } from "../../schema/credentials";
import { Secret } from "../../schema/secret";

it.each([
  ["https://hunter2@git.example/nbd.git", "https://***@git.example/nbd.git"],
  ["HTTP://me:hunter2@git.example:8443/nbd.git", "HTTP://***@git.example:8443/nbd.git"],
  ["ssh://git:hunter2@git.example/nbd.git", "ssh://***@git.example/nbd.git"],
])("%s holds one", (url, shown) => {
  expect(holdsLogin(url)).toBe(true);
  expect(withoutLogin.test(url)).toBe(false);
  expect(maskLogins(`found ${url}`)).toBe(`found ${shown}`);
});

it.each([
  "https://github.com/NetworkBlockDevice/nbd.git",
  "https://git.example/a@b/nbd.git",
  "ssh://git@git.example:2222/nbd.git",
  "git@git.example:nbd.git",
  "/srv/git/nbd.git",
])("%s holds none", (url) => {
  expect(holdsLogin(url)).toBe(false);
  expect(withoutLogin.test(url)).toBe(true);
  expect(maskLogins(url)).toBe(url);
});

it("is refused by the provider, too, which does not repeat it", () => {
  const repository = new Secret("https://hunter2@git.example/nbd.git");
  const { failures } = checkFields(sourceBuild.inputs, { repository });
  expect(failures).toMatchObject([{ property: "repository" }]);
  expect(JSON.stringify(failures)).not.toContain("hunter2");
});
