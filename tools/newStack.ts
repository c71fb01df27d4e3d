/** `npm run new-stack`: writes a commented stack file that passes validation. Asks for what no flag says. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import type { Field } from "../schema/define";
import { diskName } from "../schema/fields";
import { formatPath } from "../schema/mistake";
import { nearest } from "../schema/nearest";
import { newStackText } from "../schema/newStack";
import { stackFields } from "../schema/stack";
import { stackMistakes } from "../schema/stackMistakes";
import { StackText } from "../schema/stackText";
import { isPlainAddress } from "../schema/endpoint";

// dist/tools/newStack.js
const root = join(__dirname, "../..");
const { name: project, stackConfigDir = "." } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as {
  name: string;
  stackConfigDir?: string;
};

class Refusal extends Error {}

/** Every key of a stack file that is no secret is a flag: `--server.host`, and of the one disk `--file.size`. */
const flags: Record<string, Field> = Object.fromEntries(
  Object.entries<Record<string, Field>>(stackFields).flatMap(([place, fields]) =>
    Object.entries(fields)
      .filter(([, field]) => !field.secret)
      .map(([key, field]) => [`${place}.${key}`.replace("disks.NAME.", ""), field]),
  ),
);

const help = () => `npm run new-stack -- NAME [--disk NAME] [--recovery passphrase|none] [--KEY VALUE]...

Writes ${join(stackConfigDir, "Pulumi.NAME.yaml")} and never overwrites one. What no flag says is asked for in a terminal.

  --disk        name of the disk on both hosts
  --recovery    passphrase: a sealed copy of the disk's key is kept in the stack's state; none: no copy
${Object.entries(flags)
  .map(([flag, { doc }]) => `  --${flag}\n      ${doc}`)
  .join("\n")}
`;

interface Question {
  flag: string;
  ask: string;
  fallback?: string;
  when?: (given: Record<string, string>) => boolean;
}

const questions: Question[] = [
  { flag: "name", ask: "Name of the stack, for instance where it is" },
  { flag: "server.host", ask: "The rented server: address, name, or alias of your ssh_config" },
  {
    flag: "server.endpoint",
    ask: "The server as the client dials it, HOST:PORT",
    when: ({ "server.host": host = "" }) => !isPlainAddress(host),
  },
  {
    flag: "client.host",
    ask: "The client, which mounts the disk: address, name or alias; nothing for this machine",
    fallback: "",
    when: (given) => given["client.connection"] !== "local",
  },
  { flag: "disk", ask: "Name of the disk", fallback: "photos" },
  { flag: "file.size", ask: "Size of the disk", fallback: "20 GiB" },
  { flag: "mount.path", ask: "Where the client mounts it" },
  {
    flag: "recovery",
    ask: "Keep a copy of the disk's key in the state, sealed with a passphrase (passphrase), or none (none)",
    fallback: "passphrase",
  },
];

/** Asks for what is still open; without a terminal, defaults where there are some. */
async function answer(given: Record<string, string>): Promise<void> {
  const terminal = process.stdin.isTTY
    ? createInterface({ input: process.stdin, output: process.stdout })
    : undefined;
  const open: string[] = [];
  for (const { flag, ask, fallback, when } of questions) {
    if (given[flag] !== undefined || when?.(given) === false) continue;
    const shown = fallback ? ` [${fallback}]` : "";
    let text = await terminal?.question(`${ask}${shown}: `);
    while (text?.trim() === "" && fallback === undefined) text = await terminal?.question(`${ask}${shown}: `);
    const value = text?.trim() || fallback;
    if (value === undefined) open.push(flag === "name" ? "NAME" : `--${flag}`);
    // This machine as the client must be said, by flag or by answer.
    else if (flag === "client.host" && value === "") {
      if (terminal) given["client.connection"] = "local";
      else open.push("--client.host or --client.connection local");
    } else given[flag] = value;
  }
  terminal?.close();
  if (open.length > 0)
    throw new Refusal(`missing: ${open.join(", ")}. All flags: npm run new-stack -- --help`);
}

function readFlags(): Record<string, string> | undefined {
  const known = [...Object.keys(flags), "disk", "recovery", "help"];
  const { tokens } = parseArgs({ strict: false, allowPositionals: true, tokens: true });
  const given: Record<string, string> = {};
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token?.kind === "positional") {
      if (given.name !== undefined) throw new Refusal(`one NAME is enough, but "${token.value}" came too.`);
      given.name = token.value;
    } else if (token?.kind === "option") {
      if (!known.includes(token.name))
        throw new Refusal(`unknown flag --${token.name}${nearest(token.name, known)}`);
      if (token.name === "help") return undefined;
      const next = tokens[i + 1];
      const value = token.value ?? (next?.kind === "positional" ? next.value : undefined);
      if (value === undefined) throw new Refusal(`--${token.name} needs a value.`);
      if (token.value === undefined) i++;
      given[token.name] = value;
    }
  }
  return given;
}

/** Throws a Refusal that says all that is wrong. */
function check(text: string, file: string, recovery: string): void {
  const config = new StackText(file, text, project).values();
  // The passphrase is the one thing that only Pulumi can write.
  const values = recovery === "none" ? config : { ...config, recovery: { passphrase: "written by Pulumi" } };
  const found = stackMistakes(values).map(({ path, text }) => `  ${formatPath(path)}: ${text}`);
  if (found.length > 0) throw new Refusal(`nothing was written:\n${found.join("\n")}`);
}

async function main(): Promise<void> {
  const given = readFlags();
  if (!given) return void process.stdout.write(help());
  await answer(given);
  const { name = "", disk = "", recovery = "", ...rest } = given;
  if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name)) {
    throw new Refusal(`"${name}" is no name of a stack: letters, digits, "-", "_" and "." are allowed.`);
  }
  const badDisk = diskName.safeParse(disk).error?.issues[0]?.message;
  if (badDisk) throw new Refusal(`--disk ${badDisk} (found "${disk}").`);
  if (recovery !== "none" && recovery !== "passphrase") {
    throw new Refusal(`--recovery must be passphrase or none (found "${recovery}").`);
  }
  const values = Object.fromEntries(
    Object.entries(rest).map(([flag, value]) => [
      /^(server|client)\./.test(flag) ? flag : `disks.${disk}.${flag}`,
      // As if it had been written in the file: 22 is a number, [a, b] a list.
      parse(value) as unknown,
    ]),
  );
  const file = join(stackConfigDir, `Pulumi.${name}.yaml`);
  const text = newStackText({ stack: name, project, values, disk, recovery });
  check(text, file, recovery);
  try {
    writeFileSync(join(root, file), text, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new Refusal(`${file} is there already. Take another name, or remove the file.`);
  }
  const secret = `  pulumi config set --secret --path recovery.passphrase --stack ${name}\n`;
  process.stdout.write(
    `${file} is written. Next:\n\n  pulumi stack init ${name}\n${recovery === "none" ? "" : secret}  pulumi up --stack ${name}\n`,
  );
}

main().catch((error: unknown) => {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`new-stack: ${error.message}\n`);
  process.exitCode = 1;
});
