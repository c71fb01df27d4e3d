/** When an order to erase is withdrawn, and when it is carried out. */
import { expect, it } from "vitest";
import { eraseNote } from "../../schema/paths";
import { erase } from "../../provider/resources/erase";
import type { Host } from "../../provider/host/host";

const luksUuid = "5796cca7-6149-42b5-ab40-e765711a3551";
const wish = { name: "t1", luksUuid, device: "/dev/netdisk/t1", keyFile: "/etc/netdisk/keys/t1.key" };

/** A client with the order, on which nobody has a claim: so it is after Luks was removed, or could not be made. */
const host = {
  label: "client",
  readFile: (path: string) => Promise.resolve(path === eraseNote("t1") ? Buffer.from(luksUuid) : undefined),
  exec: () => Promise.resolve({ exitCode: 44, stdout: "", stderr: "" }),
} as unknown as Host;

it.each([
  ["nobody asks for the disk", () => false, "ERASE t1"],
  [
    "this run's program wants the disk",
    (kind: string, name: string) => `${kind}/${name}` === "luks/t1",
    "withdraw",
  ],
])("%s", async (_case, asked, title) => {
  const look = await erase.observe(host, wish, { name: "t1", state: undefined, asked });
  if (look.is !== "present") throw new Error(look.is);
  const [step] = erase.planRemoval(look, wish, { name: "t1" });
  expect(step?.title).toContain(title);
});
