/** A disk whose key is sealed waits for its passphrase when it is opened; how that is seen, and how Pulumi gives it. */
import { diskTarget, openUnit, passphraseId } from "../../schema/paths";
import type { Secret } from "../../schema/secret";
import { ask } from "../fact";
import { passwordQuestion, questions } from "../facts/passwordQuestion";
import { keyInput } from "../facts/plainKey";
import { systemdUnit } from "../facts/systemd";
import type { Host } from "../host/host";
import { type Command, sh } from "../host/sh";
import type { RunStep } from "../resource";

/** Whether the disk's own unit asks at this moment. Of a key that is not sealed, nobody does. */
export async function isLocked(host: Host, name: string): Promise<boolean> {
  const [unit, asks] = await Promise.all([
    ask(host, systemdUnit, openUnit(name)),
    ask(host, passwordQuestion, passphraseId(name)),
  ]);
  return asks && unit.activeState === "activating";
}

export const lockedNote = (name: string): string =>
  `the disk is locked and waits for its passphrase: \`pulumi up\` gives it; \`systemctl start ${diskTarget(name)}\` on the client asks for it`;

/** For `satisfied`: a locked disk is as it should be, until a run is to open it. */
export const lockedIsFine = (
  property: string,
  state: { locked: boolean },
  { unlock }: { unlock: boolean },
): boolean | undefined =>
  property === "unlock" || (property === "active" && state.locked && !unlock) ? true : undefined;

/**
 * Defines `give_passphrase`: waits for the question of a unit that is being started, answers it from standard input, and
 * waits until the unit is active.
 */
export const givingPassphrase = (name: string): Command => sh`unit=${openUnit(name)}
question() { ${questions(passphraseId(name))}; }
said() { journalctl --unit $unit --lines 5 --no-pager --output cat >&2; }
give_passphrase() {
  answered= tries=0
  while [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    sleep 0.2
    case $(systemctl show -P ActiveState $unit) in
      active) return 0 ;;
      failed) said; return 1 ;;
      activating) ;;
      *) continue ;;
    esac
    file=$(question) || return 1
    if [ -z "$file" ] || [ "$file" = "$answered" ]; then continue; fi
    if [ -n "$answered" ]; then echo "$unit asks again: the passphrase does not open the disk" >&2; return 1; fi
    socket=$(sed -n s/^Socket=//p "$file") || continue
    # Reads the passphrase from standard input.
    /lib/systemd/systemd-reply-password 1 "$socket" || return 1
    answered=$file
  done
  echo "$unit did not come up in two minutes; its last messages:" >&2
  said
  return 1
}
`;

/**
 * Opens the disk, with the passphrase for the question that its unit asks: the same way on which an operator answers.
 * @param anew starts the unit although it asks already, because its files are new
 */
export const openWithPassphrase = (name: string, passphrase: Secret, anew: boolean): RunStep => ({
  do: "run",
  title: `systemctl start ${openUnit(name)}, with the passphrase`,
  command: sh`${givingPassphrase(name)}${anew ? sh`` : sh`[ -n "$(question)" ] || `}systemctl restart --no-block $unit && give_passphrase`,
  stdin: keyInput({ keyPassphrase: passphrase }),
  timeoutMs: 200_000,
});
