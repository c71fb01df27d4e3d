/** Devices that hold what netdisk did not make: the kinds of foreign.yaml, and the provider that meets them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { parse } from "yaml";
import { engine, urnOf } from "../../provider/client";
import { install, on } from "./lab";
import { config, stack } from "./project";
import { checkout, start, until, type Running } from "./run";

interface Kind {
  name: string;
  make: string;
  says: string;
  attach?: string;
  done?: string;
}

export const kinds = parse(readFileSync(join(__dirname, "../foreign.yaml"), "utf8")) as Kind[];

export const mib = 2 ** 20;
export const size = 320 * mib;

const directory = "/var/tmp/foreign";
export const imageFile = `${directory}/img`;

const tools =
  "btrfs-progs f2fs-tools exfatprogs ntfs-3g dosfstools reiserfsprogs jfsutils nilfs-tools lvm2 mdadm bcache-tools fdisk genisoimage squashfs-tools erofs-utils udftools ocfs2-tools gfs2-utils xfsprogs e2fsprogs util-linux-extra cryptsetup-bin dmsetup";

/** What makes the kinds, on the server. */
export const installTools = (): Promise<string> => install("server", tools);

/** Makes the image of a kind on the server, with its own tools. */
export const image = (script: string): Promise<string> =>
  on(
    "server",
    `set -e; img=${imageFile}; mkdir -p ${directory}; rm -f $img; truncate -s ${size} $img
dev=$(losetup --find --show $img); trap 'losetup -d $dev' EXIT
said=$( { ${script}
} 2>&1 </dev/null) || { echo "$said" >&2; exit 1; }
sync`,
  );

export const forgetImages = (): Promise<string> => on("server", `rm -rf ${directory}`);

/**
 * The provider that the engine would start, told to make one resource: what a run does at this place, without the half
 * minute around it.
 */
export interface Asked {
  /** What it says to what is there, or undefined when it was taken. */
  refusal: () => Promise<string | undefined>;
  end: () => void;
}

export async function askProvider(
  role: "client" | "server",
  type: string,
  wish: Record<string, unknown>,
): Promise<Asked> {
  const provider: Running = start([join(checkout, "provider/pulumi-resource-netdisk"), "127.0.0.1:1"]);
  const client = engine(
    Number(await until("its port", 60, async () => /^[0-9]+/.exec(provider.said())?.[0])),
  );
  const { host, sshConfig } = config[role];
  await client.configure({ role, host, sshConfig });
  const urn = urnOf("foreign", { type: `netdisk:index:${type}`, stack, project: "netdisk-e2e" });
  const { inputs, failures } = await client.check(urn, wish);
  expect(failures).toEqual([]);
  return {
    refusal: () =>
      client.create(urn, inputs).then(
        () => undefined,
        (error: unknown) => (error as Error).message,
      ),
    end: () => {
      provider.child.kill("SIGKILL");
    },
  };
}
