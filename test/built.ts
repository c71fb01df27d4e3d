/** Before the tests that run dist/, by whatever command: they would test what an earlier build has left there. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

export function setup(): void {
  // tools/test has, for all its steps.
  if (process.env.NETDISK_BUILT === "1") return;
  // One at a time: runs side by side write the same files.
  const { status } = spawnSync("flock", ["tsconfig.build.json", "npm", "run", "--silent", "build"], {
    cwd: join(__dirname, ".."),
    stdio: "inherit",
  });
  if (status !== 0)
    throw new Error("dist/ was not built. Mend what is named above, then run the tests again.");
}
