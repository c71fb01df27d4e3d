/** The text of a new stack file: what was chosen, and everything else as a comment to be woken up. Pure. */
import { stringify } from "yaml";
import * as z from "zod";
import { defaultOf, type Field, laterChange } from "./define";
import { orders, placeDocs, sectionsBelow, stackFields, type Place } from "./stack";

export interface NewStack {
  stack: string;
  /** Name of the project, which Pulumi puts before each key; only so do comments survive `pulumi config set`. */
  project: string;
  /** What was chosen, by path: `server.host`, `disks.photos.file.size`. */
  values: Record<string, unknown>;
  disk: string;
  /** `none`: no copy of the keys is kept. */
  recovery: "none" | "passphrase";
}

const width = 110;

/** Comment lines of one indent. */
function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + word.length + 3 > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].map((it) => `${indent}# ${it}`);
}

const scalar = (value: unknown): string =>
  stringify(value, { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 }).trim();

function meaning(field: Field): string {
  const json = z.toJSONSchema(field.schema, { io: "input", unrepresentable: "any" });
  const choices = (json.enum ?? []).map(String);
  return [field.doc, ...(choices.length > 1 ? [`One of ${choices.join(", ")}.`] : []), laterChange(field)]
    .filter((text) => text !== "")
    .join(" ");
}

/** One key with its meaning, as a comment where it was not chosen. */
function keyLines(path: string, key: string, field: Field, chosen: unknown, indent: string): string[] {
  if (field.secret) {
    const how = `Written by \`pulumi config set --secret --path ${path}\`.`;
    return [...comment(`${meaning(field)} ${how}`, indent), `${indent}# ${key}: { secure: … }`];
  }
  const disk = path.startsWith("disks.") ? (path.split(".")[1] ?? "") : "";
  const example = typeof field.example === "string" ? field.example.replace("testdisk", disk) : field.example;
  const shown = chosen ?? defaultOf(field) ?? example;
  const mark = chosen === undefined ? "# " : "";
  return [...comment(meaning(field), indent), `${indent}${mark}${key}: ${scalar(shown)}`];
}

export function newStackText({ stack, project, values, disk, recovery }: NewStack): string {
  const at = (place: string) => place.replace("disks.NAME", `disks.${disk}`);

  /** A section's keys, then the sections in it. A section in which nothing was chosen is a comment as a whole. */
  function body(place: Place, indent: string): string[] {
    const keys = Object.entries<Field>(stackFields[place]).flatMap(([key, field]) => {
      const path = `${at(place)}.${key}`;
      return keyLines(path, key, field, values[path], indent);
    });
    return [...keys, ...sectionsBelow(place).flatMap(([key, inside]) => section(inside, key, indent))];
  }

  function section(place: Place, key: string, indent: string): string[] {
    const chosen = Object.keys(values).some((path) => path.startsWith(`${at(place)}.`));
    const head = comment(placeDocs[place], indent);
    if (chosen) return [...head, `${indent}${key}:`, ...body(place, `${indent}  `)];
    const asleep = body(place, "  ").map((line) => `${indent}# ${line}`);
    return [...head, `${indent}# ${key}:`, ...asleep];
  }

  const top = (key: string) => `  ${project}:${key}:`;
  const setPassphrase = `pulumi config set --secret --path recovery.passphrase --stack ${stack}`;
  return [
    "# yaml-language-server: $schema=stack.schema.json",
    `# Stack ${stack}: one server, one client and their disks.`,
    "#",
    `#   pulumi stack init ${stack}`,
    ...(recovery === "passphrase" ? [`#   ${setPassphrase}`] : []),
    `#   pulumi up --stack ${stack}`,
    "#",
    "# What is a comment here is left at its default; the whole list: docs/reference.md. A misspelled key is an error,",
    `# not a surprise. Keys may also be written without \`${project}:\`, but then \`pulumi config set\` drops the comments.`,
    "config:",
    ...comment(placeDocs.server, "  "),
    top("server"),
    ...body("server", "    "),
    "",
    ...comment(placeDocs.client, "  "),
    top("client"),
    ...body("client", "    "),
    "",
    ...comment(placeDocs.recovery, "  "),
    ...(recovery === "none"
      ? [`  ${project}:recovery: none`]
      : comment(`Written by \`${setPassphrase}\`.`, "  ")),
    "",
    "  # The disks, each under its name: lower-case letters, digits and _.",
    top("disks"),
    `    ${disk}:`,
    ...body("disks.NAME", "      "),
    "",
    ...Object.entries<Field>(orders).flatMap(([key, field]) => [
      ...comment(field.doc, "  "),
      `  # ${project}:${key}:`,
      `  #   ${disk}: ${String(field.example)}`,
      "",
    ]),
  ].join("\n");
}

/** stacks/Pulumi.example.yaml. */
export const exampleStackText = (project: string): string =>
  newStackText({
    stack: "example",
    project,
    disk: "photos",
    recovery: "passphrase",
    values: {
      "server.host": "backup",
      "server.endpoint": "203.0.113.7:22",
      "client.connection": "local",
      "disks.photos.file.size": "20 GiB",
      "disks.photos.mount.path": "/mnt/photos",
    },
  });
