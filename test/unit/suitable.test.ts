/** Which hosts can have a disk with `transport: session`, as the preview says before anything is changed. */
import { expect, it } from "vitest";
import type { Host } from "../../provider/host/host";
import { serve } from "../../provider/resources/serve";
import { sessionPlugin } from "../../provider/resources/sessionPlugin";

const hostThatSays = (stdout: string, exitCode = 0): Host =>
  ({
    label: "nas",
    exec: () => Promise.resolve({ exitCode, stdout, stderr: "" }),
  }) as unknown as Host;

const offering = (version: string) =>
  hostThatSays(`nbdkit:\n  Installed: (none)\n  Candidate: ${version}\n  Version table:\n`);

it.each(["1.34.0-1", "1.42.3-1", "1:1.34", "2.0.1-1ubuntu1"])(
  "a client with nbdkit %s can have a session",
  async (version) => {
    await expect(sessionPlugin.suitable!(offering(version))).resolves.toBeUndefined();
  },
);

it.each(["1.32.5-1", "1.4.0", "0.34-1"])("one with nbdkit %s is refused, with the cure", async (version) => {
  await expect(sessionPlugin.suitable!(offering(version))).rejects.toThrow(
    new RegExp(`^nas has nbdkit ${version} in .*1\\.34 or newer\\. .*transport: forward`),
  );
});

it("what a client without package lists, or with broken ones, will get is not known yet", async () => {
  await expect(sessionPlugin.suitable!(hostThatSays(""))).resolves.toBeUndefined();
  await expect(sessionPlugin.suitable!(hostThatSays("", 100))).resolves.toBeUndefined();
});

it("a server must be able to end a session for certain", async () => {
  await expect(serve.suitable!(hostThatSays("yes\n"))).resolves.toBeUndefined();
  await expect(serve.suitable!(hostThatSays("no\n"))).rejects.toThrow(/no cgroup\.kill.*transport: forward/);
});
