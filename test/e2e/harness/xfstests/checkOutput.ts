/** What `./check` of xfstests says of each test, also where it was killed in the middle. Pure. */

export type Status = "pass" | "fail" | "skip";

export interface Outcome {
  /** `generic/001` */
  test: string;
  status: Status;
  /** Why it failed or was skipped, in one line. */
  reason?: string;
  /** How long check says that it took; only of those that passed. */
  seconds?: number;
}

export interface Said {
  finished: Outcome[];
  /** The test that it was at when this was all that it had said. */
  running?: string;
}

/** A test's first line begins with its name; what belongs to it may be on the following ones, and never begins so. */
const first = /^([a-z0-9]+\/\d{3,})(?=\s|$)(.*)$/;
/** After the last test: the summary. */
const closing =
  /^(?:Ran: |Not run: |Failures: |Failed \d+ of |Passed all |Interrupted!|SECTION|Xunit report: )/;
/** `5s` at the end of a line, after ` 4s ... ` where an earlier run was remembered. Printed of those that passed only. */
const took = /(?:^|\s)(\d+)s\s*$/;
/** Where one of these was said, figures at the end of a line are something else. */
const bad =
  /output mismatch|\[failed, exit status|\[dumped core\]|no qualified output|_check_\w+: |is inconsistent/;

interface Part {
  test: string;
  lines: string[];
  /** Something came after it. */
  over: boolean;
}

function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let open: Part | undefined;
  for (const line of text.split("\n")) {
    const [, test, rest = ""] = first.exec(line) ?? [];
    if (test === undefined && !closing.test(line)) {
      open?.lines.push(line);
      continue;
    }
    if (open) open.over = true;
    open = test === undefined ? undefined : { test, lines: [rest], over: false };
    if (open) parts.push(open);
  }
  return parts;
}

/** Without what only says where to read on, and how long it took the last time. */
const plain = (line: string): string =>
  line
    .replace(/^\s*\d+s \.\.\. ?/, "")
    .replace(/\s*\(see [^)]*\)/g, "")
    .replace(/^[\s-]+/, "")
    .trim();

/** The first line that the test said and should not have, or did not say and should have. */
function difference(lines: string[]): string | undefined {
  const diff = lines.map((line) => /^ {4}([+-])(?!\1{2})(.*)$/.exec(line)).filter((match) => match !== null);
  const chosen = diff.find(([, sign]) => sign === "+") ?? diff[0];
  return chosen && `${chosen[1]}${(chosen[2] ?? "").trim()}`;
}

function failureOf(lines: string[]): string {
  const said = lines.filter((line) => !line.startsWith("    ") || line === lines[0]).map(plain);
  const words = said
    .filter((line, i) => line !== "" && (i === 0 || bad.test(line)))
    .map((line) => line.replace(/(\[[^\]]*\])- /, "$1, "));
  const differs = difference(lines);
  return [words.join("; ") || said.find((line) => line !== "") || "no reason given", differs]
    .filter((word) => word !== undefined)
    .join(": ");
}

function outcomeOf({ test, lines, over }: Part): Outcome | undefined {
  const text = lines.join("\n");
  const [line = ""] = lines;
  const isWhole = over || lines.length > 1;
  // Somebody ended check: it sums up in the middle of the test's line.
  if (/\sRan: /.test(line)) return undefined;
  const skipped = /\[not run\]\s*([^]*)$/.exec(text);
  if (skipped && over) {
    return { test, status: "skip", reason: (skipped[1] ?? "").trim().replace(/\s*\n\s*/g, "; ") };
  }
  if (/\[expunged\]\s*$/.test(line)) return { test, status: "skip", reason: "expunged" };
  if (line.includes("no such test?")) return { test, status: "skip", reason: "no such test" };
  if (isWhole && !bad.test(text)) {
    const last = lines.filter((it) => it.trim() !== "").at(-1) ?? "";
    const seconds = took.exec(last)?.[1];
    if (seconds !== undefined) return { test, status: "pass", seconds: Number(seconds) };
  }
  return over ? { test, status: "fail", reason: failureOf(lines) } : undefined;
}

export function readCheck(text: string): Said {
  const parts = partsOf(text);
  const outcomes = parts.map(outcomeOf);
  const last = parts.at(-1);
  return {
    finished: outcomes.filter((outcome) => outcome !== undefined),
    ...(last && outcomes.at(-1) === undefined && { running: last.test }),
  };
}
