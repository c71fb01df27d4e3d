/** stacks/Pulumi.article.yaml, on the lab's hosts and with a smaller file. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { defaultStack, type Disk, type StackSettings } from "./project";
import { checkout } from "./run";

const { config: choices } = parse(readFileSync(join(checkout, "stacks/Pulumi.article.yaml"), "utf8")) as {
  config: {
    "netdisk-hosts:server": { allowList: boolean };
    "netdisk-hosts:disks": { testdisk: Disk & Required<Pick<Disk, "file" | "key">> };
  };
};
const { allowList } = choices["netdisk-hosts:server"];
const { testdisk } = choices["netdisk-hosts:disks"];

export const sizeMiB = 512;
export const backingFile = testdisk.file.path ?? "";
export const keyFile = testdisk.key.gpg ?? "";
export const keyPassphrase = "the article's XXXXXXX";

export const articleStack: StackSettings = {
  ...defaultStack,
  server: { ...defaultStack.server, allowList },
  disks: { testdisk: { ...testdisk, file: { ...testdisk.file, size: `${sizeMiB} MiB` } } },
  secrets: { ...defaultStack.secrets, "disks.testdisk.key.passphrase": keyPassphrase },
};
