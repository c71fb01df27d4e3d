/** `npm run new-stack`: writes a commented stack file that passes validation. Asks for what no flag says. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { parse } from "yaml";
import { diskName } from "../schema/fields";
import { formatPath } from "../schema/mistake";
import { newStackText } from "../schema/newStack";
import { stackMistakes } from "../schema/stackMistakes";
import { StackText } from "../schema/stackText";
import { isPlainAddress } from "../schema/endpoint";
import { flags, readFlags, Refusal } from "./newStackFlags";

// dist/tools/newStack.js
const root = join(__dirname, "../..");
const { name: project, stackConfigDir = "." } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as {
  name: string;
  stackConfigDir?: string;
};

const help = () => `npm run new-stack -- NAME [--disk NAME] [--recovery passphrase|none] [--KEY VALUE]...

Writes ${join(stackConfigDir, "Pulumi.NAME.yaml")} and never overwrites one. What no flag says is asked for in a terminal.

  --disk        name of the disk on both hosts
  --recovery    passphrase: a sealed copy of the disk's key is kept in the stack's state; none: no copy
${Object.entries(flags)
  .map(([flag, { doc }]) => `  --${flag}\n      ${doc}`)
  .join("\n")}
`;

/** As it is given on the command line. */
const shown = (flag: string): string => (flag === "NAME" ? flag : `--${flag}`);

interface Question {
  /** Or NAME. */
  flag: string;
  ask: string;
  fallback?: string;
  when?: (given: Record<string, string>) => boolean;
}

const questions: Question[] = [
  { flag: "NAME", ask: "Name of the stack, for instance where it is" },
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
  {
    flag: "file.size",
    ask: "Size of the disk",
    fallback: "20 GiB",
    // A real disk has its size.
    when: (given) => given["device.path"] === undefined,
  },
  { flag: "mount.path", ask: "Where the client mounts it" },
  {
    flag: "recovery",
    ask: "Keep a copy of the disk's key in the state, sealed with a passphrase (passphrase), or none (none)",
    fallback: "passphrase",
  },
];

/** A flag's value as if it stood in the file: 22 is a number and [a, b] a list where text is not what is wanted. */
function valueOf(flag: string, text: string): unknown {
  if (flags[flag]?.schema.safeParse(text).success) return text;
  try {
    return parse(text) as unknown;
  } catch {
    return text;
  }
}

/** What is wrong with the value of a flag, undefined where nothing is. The file as a whole is checked later. */
function problem(flag: string, value: string): string | undefined {
  if (flag === "NAME") {
    return /^[A-Za-z0-9_.-]{1,100}$/.test(value)
      ? undefined
      : 'must hold only letters, digits, "-", "_" and "."';
  }
  if (flag === "recovery") {
    return ["passphrase", "none"].includes(value) ? undefined : "must be passphrase or none";
  }
  const schema = flag === "disk" ? diskName : flags[flag]?.schema;
  return schema?.safeParse(valueOf(flag, value)).error?.issues[0]?.message;
}

type Ask = (question: string) => Promise<string>;

async function answerOf({ flag, ask, fallback }: Question, terminal: Ask): Promise<string> {
  for (;;) {
    const text = (await terminal(`${ask}${fallback ? ` [${fallback}]` : ""}: `)).trim();
    const value = text === "" ? fallback : text;
    const wrong = value ? problem(flag, value) : undefined;
    if (wrong !== undefined) process.stdout.write(`  ${wrong}\n`);
    else if (value !== undefined) return value;
  }
}

/** Asks for what is still open; without a terminal, takes defaults where there are some. */
async function complete(given: Record<string, string>, terminal?: Ask): Promise<void> {
  const open: string[] = [];
  for (const question of questions) {
    const { flag, fallback, when } = question;
    if (given[flag] !== undefined || when?.(given) === false) continue;
    const value = terminal ? await answerOf(question, terminal) : fallback;
    if (value === undefined) open.push(shown(flag));
    else if (value !== "") given[flag] = value;
    // This machine as the client must be said, by flag or by answer.
    else if (terminal) given["client.connection"] = "local";
    else open.push("--client.host or --client.connection local");
  }
  if (open.length > 0)
    throw new Refusal(`missing: ${open.join(", ")}. All flags: npm run new-stack -- --help`);
}

async function answer(given: Record<string, string>): Promise<void> {
  if (!process.stdin.isTTY) return complete(given);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-D rejects the question, Ctrl-C only ends the interface.
  const ended = new Promise<never>((_, reject) => {
    terminal.once("close", () => reject(new Refusal("ended by you; nothing was written.")));
  });
  ended.catch(() => undefined);
  const ask = (question: string) => Promise.race([ended, terminal.question(question)]);
  try {
    await complete(given, ask);
  } catch (error) {
    throw (error as Error).name === "AbortError" ? new Refusal("ended by you; nothing was written.") : error;
  } finally {
    terminal.close();
  }
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
  const given = readFlags(process.argv.slice(2));
  if (!given) return void process.stdout.write(help());
  await answer(given);
  const { NAME = "", disk = "", recovery = "", ...rest } = given;
  for (const [flag, value] of Object.entries({ NAME, disk, recovery })) {
    const wrong = problem(flag, value);
    if (wrong) throw new Refusal(`${shown(flag)} ${wrong} (found "${value}").`);
  }
  const values = Object.fromEntries(
    Object.entries(rest).map(([flag, value]) => [
      /^(server|client)\./.test(flag) ? flag : `disks.${disk}.${flag}`,
      valueOf(flag, value),
    ]),
  );
  const file = join(stackConfigDir, `Pulumi.${NAME}.yaml`);
  const text = newStackText({
    stack: NAME,
    project,
    values,
    disk,
    recovery: recovery === "none" ? "none" : "passphrase",
  });
  check(text, file, recovery);
  try {
    writeFileSync(join(root, file), text, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new Refusal(`${file} is there already. Take another name, or remove the file.`);
  }
  const keepsCopy = recovery !== "none";
  const next = [
    `stack init ${NAME}`,
    ...(keepsCopy ? [`config set --secret --path recovery.passphrase --stack ${NAME}`] : []),
    `up --stack ${NAME}`,
    // Whoever only does what stands here would find out in the disaster (docs/recovery.md).
    ...(keepsCopy ? [`stack output recoverySheet --show-secrets --stack ${NAME} >sheet.txt`] : []),
  ];
  process.stdout.write(`${file} is written. Next:\n\n${next.map((it) => `  pulumi ${it}\n`).join("")}`);
}

main().catch((error: unknown) => {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`new-stack: ${error.message}\n`);
  process.exitCode = 1;
});
