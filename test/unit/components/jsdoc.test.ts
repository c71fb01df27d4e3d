/** What editors show of the components' arguments: written by hand, so held against the definitions here. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { connection } from "../../../schema/connection";
import type { Field } from "../../../schema/define";
import { backingFile } from "../../../schema/paths";
import { diskOrders, stackFields } from "../../../schema/stack";

type Fields = Record<string, Field>;

const without = (fields: Fields, others: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([key]) => !(key in others)));

const { role: _, ...reach } = connection;

/** The fields that each type writes down. */
const written: Record<string, Fields> = {
  ConnectionArgs: reach,
  ServerArgs: without(stackFields.server, connection),
  JumpArgs: stackFields["server.jump"],
  NbdArgs: stackFields["client.nbd"],
  EncryptedDiskArgs: { ...stackFields["disks.NAME"], ...diskOrders },
  FileArgs: stackFields["disks.NAME.file"],
  DeviceArgs: stackFields["disks.NAME.device"],
  ExportArgs: stackFields["disks.NAME.export"],
  KeyArgs: stackFields["disks.NAME.key"],
  LuksArgs: stackFields["disks.NAME.luks"],
  FilesystemArgs: stackFields["disks.NAME.filesystem"],
  MountArgs: stackFields["disks.NAME.mount"],
  CommandArgs: stackFields["disks.NAME.afterUp"],
};

/** Defaults that follow from the disk's name. */
const derived: Record<string, unknown> = { "FileArgs.path": backingFile("NAME") };

interface Member {
  type: string;
  key: string;
  doc: string;
  /** The text of `@default`. */
  fallback: string | undefined;
}

const folder = join(__dirname, "../../../components");

/** The members of all types that a file of the components declares. */
function membersOf(file: string): Member[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(folder, file), "utf8"),
    ts.ScriptTarget.Latest,
    true,
  );
  const members: Member[] = [];
  const visit = (node: ts.Node, type: string): void => {
    const name = ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) ? node.name.text : type;
    if (ts.isPropertySignature(node)) {
      const tag = ts.getJSDocTags(node).find(({ tagName }) => tagName.text === "default");
      const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
      members.push({
        type,
        key: node.name.getText(),
        doc: docs.map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? "").join(" "),
        fallback: tag && ts.getTextOfJSDocComment(tag.comment),
      });
    }
    ts.forEachChild(node, (child) => visit(child, name));
  };
  visit(source, "");
  return members;
}

const members = readdirSync(folder).flatMap(membersOf);

/** What a `@default` says: a value, or words where it is none. */
function valueOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

describe.each(Object.entries(written))("%s", (type, fields) => {
  const mine = members.filter((member) => member.type === type);

  it.each(Object.entries(fields))("%s has a doc, and the default of the definition", (key, { schema }) => {
    const member = mine.find((it) => it.key === key);
    expect(member?.doc).toMatch(/.{5}/);
    const filled = schema.safeParse(undefined);
    const fallback = filled.success ? filled.data : derived[`${type}.${key}`];
    expect(valueOf(member?.fallback)).toEqual(fallback);
  });
});

it("every @default is held against a definition", () => {
  const known = ({ type, key }: Member) => written[type]?.[key] !== undefined;
  const said = members.filter(({ fallback }) => fallback !== undefined);
  expect(said.length).toBeGreaterThan(13);
  expect(said.filter((member) => !known(member))).toEqual([]);
});
