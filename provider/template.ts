/**
 * Renders templates/*: text with named holes, `{{name}}`, and nothing else. Each hole is filled as the kind of
 * file needs it, so that a value cannot become syntax: a shell word in a .sh, a word of an Exec line in a
 * unit, the plain text elsewhere.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { quote } from "./host/sh";

/** Text that is filled in as it is. Made by the helpers below; each use says why it is right there. */
export class Raw {
  constructor(readonly text: string) {}
}

export type TemplateValue = string | number | Raw;

/** For what is no single word: several options, whole lines. The caller has escaped its parts. */
export const raw = (text: string): Raw => new Raw(text);

/** One word of a systemd setting that knows no variables, such as RequiresMountsFor=: specifiers and quotes mean nothing in it. */
function settingWord(value: string): string {
  if (/[\0\n]/.test(value)) throw new Error("a word in a unit cannot hold a line break or NUL byte");
  if (/^[A-Za-z0-9_@+=:,./-]+$/.test(value)) return value;
  const escaped = value.replace(/["\\]/g, "\\$&").replaceAll("%", "%%");
  return `"${escaped}"`;
}

/** One word of a systemd Exec line: variables mean nothing in it either. */
export const systemdWord = (value: string): string => settingWord(value).replaceAll("$", "$$$$");

/** A path of RequiresMountsFor=. */
export const systemdPath = (path: string): Raw => new Raw(settingWord(path));

/** A setting that is not split into words and knows no variables, such as Description= or Where=. */
export function systemdText(value: string): Raw {
  if (/[\0\n]|\\$/.test(value)) throw new Error("a setting in a unit cannot hold a line break or end in \\");
  return new Raw(value.replaceAll("%", "%%"));
}

function plain(value: string): string {
  if (/[\0\n]/.test(value)) throw new Error("a value cannot hold a line break or NUL byte");
  return value;
}

/** How a hole is filled, by the kind of file. */
const filling: Record<string, (value: string) => string> = {
  ".sh": quote,
  ".service": systemdWord,
  ".target": systemdWord,
  ".mount": systemdWord,
  ".socket": systemdWord,
};

/** Fills the holes of `text`. @throws when a hole has no value or a value no hole. Pure. */
export function fill(file: string, text: string, values: Record<string, TemplateValue>): string {
  const escape = filling[extname(file)] ?? plain;
  const unused = new Set(Object.keys(values));
  const filled = text.replace(/\{\{(.*?)\}\}/g, (_hole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw new Error(`templates/${file}: nothing for {{${name}}}`);
    unused.delete(name);
    try {
      return value instanceof Raw ? value.text : escape(String(value));
    } catch (error) {
      throw new Error(`templates/${file}: {{${name}}}: ${(error as Error).message}`, { cause: error });
    }
  });
  if (unused.size > 0) throw new Error(`templates/${file}: no {{${[...unused].join("}}, no {{")}}}`);
  return filled;
}

/** The package's directory, seen from provider/ (tests) as from dist/provider/ (built, installed). */
export function packageDirectory(): string {
  for (let directory = __dirname; dirname(directory) !== directory; directory = dirname(directory)) {
    if (existsSync(join(directory, "templates")) && existsSync(join(directory, "package.json")))
      return directory;
  }
  throw new Error(`no templates directory above ${__dirname}. Install the package again.`);
}

const texts = new Map<string, string>();

function textOf(file: string): string {
  const known = texts.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(join(packageDirectory(), "templates", file), "utf8");
  texts.set(file, text);
  return text;
}

/** A file of templates/ without holes, for a hole in several others that have these lines in common. */
export const part = (file: string): Raw => raw(textOf(file).trimEnd());

/** render("netdisk.target", { name: "photos" }) */
export const render = (file: string, values: Record<string, TemplateValue>): string =>
  fill(file, textOf(file), values);
