/** Which stacks own what on a host: the notes below /var/lib/netdisk/claims. */
import { claimsDir } from "../../schema/paths";
import { BadAnswer, type Fact } from "../fact";
import { type Command, sh } from "../host/sh";

export interface Claim {
  project: string;
  stack: string;
  urn: string;
  /** Made anew by every create; whoever has an older one owns nothing any more. */
  nonce: string;
  /** The wishes without secrets, so that other stacks can see a conflict. */
  inputs: Record<string, unknown>;
}

export interface FoundClaim extends Claim {
  /** `KIND/NAME/PROJECT.STACK.json`, encoded as in provider/claims.ts. */
  file: string;
}

const emptyClaim =
  "is empty. Remove it on the host; the stack that has it writes it anew with its next `pulumi up`.";

/**
 * Prints the files that a pattern stands for as lines of `FILE<tab>JSON`. One that another stack removes at this moment,
 * or a pattern that matches nothing, is none; one that is there and cannot be read, or is empty, ends the command. It may
 * be gone for the pattern and back for awk, or the other way round. The working directory is that of the claims.
 */
export const printClaims = (pattern: Command): Command => sh`tries=0
while set -- ${pattern} && { [ $# -gt 1 ] || [ -e "$1" ]; }; do
  if found=$(awk '{ print FILENAME "\\t" $0 } FNR == 1 { files++ } END { exit files != ARGC - 1 }' "$@" 2>&1); then
    printf '%s\\n' "$found"
    break
  fi
  tries=$((tries + 1))
  if [ $tries -ge 5 ]; then
    printf '%s\\n' "$found" >&2
    for file; do
      if [ -e "$file" ] && [ ! -s "$file" ]; then echo ${claimsDir}/"$file" ${emptyClaim} >&2; fi
    done
    exit 1
  fi
done`;

const texts = ["project", "stack", "urn", "nonce"] as const;

function parseLine(line: string): FoundClaim {
  const tab = line.indexOf("\t");
  const file = line.slice(0, tab);
  if (tab < 0 || !/^[^/]+\/[^/]+\/[^/]+\.json$/.test(file)) throw new Error(`"${line}" is no claim`);
  let claim: unknown;
  try {
    claim = JSON.parse(line.slice(tab + 1));
  } catch (error) {
    throw new Error(`${claimsDir}/${file} does not hold JSON`, { cause: error });
  }
  const record = claim as Record<string, unknown> | null;
  if (
    typeof record !== "object" ||
    record === null ||
    texts.some((key) => typeof record[key] !== "string") ||
    typeof record.inputs !== "object" ||
    record.inputs === null
  ) {
    throw new Error(`${claimsDir}/${file} is no claim`);
  }
  return { ...(record as unknown as Claim), file };
}

/** Lines of `FILE<tab>JSON`. */
export const parseClaims = (stdout: string): FoundClaim[] =>
  stdout
    .split("\n")
    .filter((line) => line !== "")
    .map(parseLine);

/**
 * All claims at once: one round trip for all reads of a run.
 * Example: `[{ file: "export/testdisk/home.prod.json", project: "home", stack: "prod", urn, nonce, inputs }]`.
 */
export const claims: Fact<[], FoundClaim[]> = {
  name: "claims.all",
  command: () => sh`set -e
if ! test -d ${claimsDir}; then exit 44; fi
cd ${claimsDir}
${printClaims(sh`*/*/*.json`)}`,
  parse({ exitCode, stdout, stderr }) {
    if (exitCode === 44 && stdout === "") return [];
    const empty = stderr.split("\n").find((line) => line.endsWith(emptyClaim));
    if (exitCode !== 0 && empty !== undefined) throw new BadAnswer(empty);
    if (exitCode !== 0) throw new Error("the claims cannot be read");
    return parseClaims(stdout);
  },
};
