/**
 * Who owns what on a host: one small file per thing and stack, written before the thing is
 * touched and removed after it was given back. Nobody but this file reads or writes them.
 */
import type { Definition } from "../schema/define";
import { claimsDir } from "../schema/paths";
import { NetdiskError } from "./errors";
import { ask } from "./fact";
import { type Claim, claims, type FoundClaim, parseClaims, printClaims } from "./facts/claims";
import { allArrived } from "./host/commands";
import type { Host } from "./host/host";
import { type Command, sh } from "./host/sh";

/** A stack's resource, as its URN names it. */
export interface Owner {
  project: string;
  stack: string;
  urn: string;
}

/** `urn:pulumi:STACK::PROJECT::TYPE::NAME` */
export function ownerOf(urn: string): Owner {
  const match = /^urn:pulumi:(.+?)::(.+?)::/.exec(urn);
  if (!match?.[1] || !match[2]) throw new NetdiskError("CONFIG", `"${urn}" is no URN of a resource.`);
  return { stack: match[1], project: match[2], urn };
}

/** A name as one word for paths and locks; different names stay different. */
const pathSafe = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_.-]|^[.-]/g, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `@${byte.toString(16).padStart(2, "0").toUpperCase()}`)
      .join(""),
  );

/** The thing's own lock on its host. */
export const lockOf = (definition: Definition, name: string): string =>
  `${pathSafe(definition.kind)}.${pathSafe(name)}`;

const folderOf = (definition: Definition, name: string): string =>
  `${pathSafe(definition.kind)}/${pathSafe(name)}`;

// The dot between project and stack is the only one, so that two pairs never share a file.
const fileOf = ({ project, stack }: Pick<Owner, "project" | "stack">): string =>
  `${pathSafe(project).replaceAll(".", "@2E")}.${pathSafe(stack)}.json`;

/** One line; what else the object holds (where it was found) is not part of the claim. */
const textOf = ({ project, stack, urn, nonce, inputs }: Claim): string =>
  `${JSON.stringify({ project, stack, urn, nonce, inputs } satisfies Claim)}\n`;

/** Whose a claim is: the stack by its name, or by the nonce in its state, which a renamed stack keeps. */
export type Claimant = Pick<Owner, "project" | "stack"> & { nonce?: string };

export interface Holders {
  /** This stack's own claim. */
  own?: FoundClaim;
  /** Whether that names another stack: this one before it was renamed, or the one that the resource was moved from. */
  renamed: boolean;
  others: FoundClaim[];
}

export function holders(
  found: FoundClaim[],
  definition: Definition,
  name: string,
  claimant: Claimant,
): Holders {
  const folder = `${folderOf(definition, name)}/`;
  const here = found.filter((claim) => claim.file.startsWith(folder));
  const isNamed = ({ file }: FoundClaim) => file === folder + fileOf(claimant);
  const isKnown = ({ nonce }: FoundClaim) => nonce === claimant.nonce;
  const own = here.find(isKnown) ?? here.find(isNamed);
  return {
    own,
    renamed: own !== undefined && !isNamed(own),
    others: here.filter((claim) => !isKnown(claim) && !isNamed(claim)),
  };
}

/** In a thing's folder: shell function `own FILE`, whether the claim is the claimant's, by the rules of `holders`. */
const ownClaim = ({ nonce, ...owner }: Claimant): Command => {
  const isKnown =
    nonce === undefined ? sh`` : sh` || grep -qsF -- ${`"nonce":${JSON.stringify(nonce)}`} "$1"`;
  return sh`own() { [ "$1" = ${fileOf(owner)} ]${isKnown}; }`;
};

/** For a command on the host, a condition: another stack has the thing, too. */
export const isShared = (definition: Definition, name: string, claimant: Claimant): Command => sh`(
cd ${`${claimsDir}/${folderOf(definition, name)}`} 2>/dev/null || exit 1
${ownClaim(claimant)}
for file in *.json; do
  if test -e "$file" && ! own "$file"; then exit 0; fi
done
exit 1
)`;

/** Removes the claimant's claims, and the thing's folder with the last one. */
function removeOwn(definition: Definition, name: string, claimant: Claimant): Command {
  const folder = `${claimsDir}/${folderOf(definition, name)}`;
  return sh`set -e
cd ${folder} 2>/dev/null || exit 0
${ownClaim(claimant)}
for file in *.json; do
  if own "$file"; then rm -f -- "$file"; fi
done
rm -f .new
cd ${claimsDir}
rmdir --ignore-fail-on-non-empty -- ${folder}
sync .`;
}

/** The claims on things of the same kind that have another name, whoever made them. */
export function otherThings(found: FoundClaim[], definition: Definition, name: string): FoundClaim[] {
  const [kind, folder] = [`${pathSafe(definition.kind)}/`, `${folderOf(definition, name)}/`];
  return found.filter(({ file }) => file.startsWith(kind) && !file.startsWith(folder));
}

/**
 * For a subshell on the host: prints the names of the things of the same kind that have another name, and the same value
 * of an input; nothing where there are none. The value cannot be a part of another one: JSON quotes it.
 */
export const othersWith = (definition: Definition, name: string, input: string, value: string): Command =>
  sh`cd ${`${claimsDir}/${pathSafe(definition.kind)}`} 2>/dev/null || exit 0
found=
for claim in */*.json; do
  other=\${claim%%/*}
  if ! [ -e "$claim" ] || [ "$other" = ${pathSafe(name)} ]; then continue; fi
  grep -qF -- ${`${JSON.stringify(input)}:${JSON.stringify(value)}`} "$claim"
  case $? in 0) found="\${found:+$found, }$other" ;; 1) ;; *) exit 1 ;; esac
done
echo "$found"`;

/** Whether any stack has the thing at this moment. */
export async function isClaimed(host: Host, definition: Definition, name: string): Promise<boolean> {
  const found = await ask(host, claims);
  return found.some(({ file }) => file.startsWith(`${folderOf(definition, name)}/`));
}

export function claimedError(label: string, definition: Definition, name: string, other: FoundClaim): Error {
  return new NetdiskError(
    "CLAIMED",
    `${label}: ${definition.kind} "${name}" belongs to the stack ${other.project}/${other.stack} (${other.urn}). ` +
      `Destroy it there first; if that stack no longer exists, remove ${claimsDir}/${other.file} on the host.`,
  );
}

/** How long a read may use what another read of the same run was told. */
const freshMs = 2000;

export class Claims {
  #last?: { at: number; found: Promise<FoundClaim[]> };

  constructor(private readonly host: Host) {}

  /** All claims; reads that come at the same time share one answer. */
  all(): Promise<FoundClaim[]> {
    if (this.#last && Date.now() - this.#last.at < freshMs) return this.#last.found;
    const found = ask(this.host, claims);
    this.#last = { at: Date.now(), found };
    found.catch(() => (this.#last = undefined));
    return found;
  }

  /** The claims as they are now. */
  async current(): Promise<FoundClaim[]> {
    this.#last = undefined;
    return this.all();
  }

  /**
   * Waits until nobody works on the thing, then writes this stack's claim and returns who had one before.
   * An exclusive thing that another stack has is left alone: `others` is then not empty.
   */
  async take(definition: Definition, name: string, claim: Claim, signal?: AbortSignal): Promise<Holders> {
    const folder = folderOf(definition, name);
    const text = textOf(claim);
    const guard = definition.shared
      ? sh``
      : sh`if ${isShared(definition, name, claim)}; then exit 0; fi
`;
    this.#last = undefined;
    const stdout = await this.host.run(
      sh`set -e
mkdir -p -- ${`${claimsDir}/${folder}`}
cd ${claimsDir}
${printClaims(sh`${folder}/*.json`)}
cd ${folder}
${ownClaim(claim)}
${guard}umask 077
cat >.new
${allArrived(sh`.new`, Buffer.byteLength(text))}
sync .new
mv -f .new ${fileOf(claim)}
for file in *.json; do
  if test "$file" != ${fileOf(claim)} && own "$file"; then rm -f -- "$file"; fi
done
sync .`,
      { stdin: text, lock: lockOf(definition, name), signal },
    );
    return holders(parseClaims(stdout), definition, name, claim);
  }

  /** Puts back what `take` replaced. */
  async restore(
    definition: Definition,
    name: string,
    claimant: Claimant,
    before: Claim | undefined,
  ): Promise<void> {
    if (before) await this.take(definition, name, before);
    else await this.release(definition, name, claimant);
  }

  /** Removes this stack's claim; that there is none is in order. */
  async release(definition: Definition, name: string, claimant: Claimant): Promise<void> {
    this.#last = undefined;
    await this.host.run(removeOwn(definition, name, claimant), { lock: lockOf(definition, name) });
  }

  /** Removes this stack's claim only where another stack has one, too, and says whether it did: of two, one stays. */
  async leave(definition: Definition, name: string, claimant: Claimant): Promise<boolean> {
    this.#last = undefined;
    const said = await this.host.run(
      sh`if ! ${isShared(definition, name, claimant)}; then exit 0; fi
${removeOwn(definition, name, claimant)}
echo left`,
      { lock: lockOf(definition, name) },
    );
    return said === "left\n";
  }
}
