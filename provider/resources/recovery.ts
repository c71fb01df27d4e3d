/**
 * Key and header, sealed with the recovery passphrase (schema/crypt.ts, docs/recovery.md). Plain bytes go from
 * tar to gpg through a pipe; where they are put back they lie in memory for a moment, in a directory that only root can
 * enter (docs/security.md). The passphrase comes on stdin.
 */
import { isAscii } from "node:buffer";
import { dirname } from "node:path";
import { recovery as definition } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import { recoveryFile } from "../../schema/paths";
import { Secret } from "../../schema/secret";
import { ask, askWith } from "../fact";
import { luksHeader } from "../facts/cryptsetup";
import { gpgCheck, gpgHeader, secretsDirectory, tarOfSecrets, unpackSecrets } from "../facts/gpg";
import { gpgBy, sealing } from "../facts/gpgCommand";
import { inMemory } from "../facts/inMemory";
import { isSealed, keyInput, plainKey, tryingKey, unseal, withEitherReading } from "../facts/plainKey";
import { statPath } from "../facts/stat";
import type { Host } from "../host/host";
import { Command, sh } from "../host/sh";
import { resourceType, type RunStep, type Step, writeStep } from "../resource";

/** Only what opens the disk is sealed: a blob that does may be the last one. */
function seal(inputs: Inputs<typeof definition>): RunStep {
  const { name, keyFile, keyReading, header, luksUuid, passphrase } = inputs;
  const kept = recoveryFile(name);
  const sealed = isSealed(inputs);
  const opens = withEitherReading(keyFile, sealed, (key) => sh`${tryingKey} ${key} ${header}`, keyReading);
  return {
    do: "run",
    title: "seal key and header (gpg --symmetric)",
    command: sh`${unseal(keyFile, sealed)}[ "$(cryptsetup luksUUID ${header})" = ${luksUuid} ] && ${opens} </dev/null || { echo ${`${keyFile} and ${header} do not open the disk with LUKS UUID ${luksUuid}: not sealed, the blob that is there stays. Put both back from it (docs/recovery.md).`} >&2; exit 1; }
install -d -m 0700 ${dirname(kept)} && (
${secretsDirectory(keyFile, header, sealed)}
{ ${tarOfSecrets(sealed)} || : >"$t/failed"; } | ${gpgBy(3)} ${sealing} --output "$t/sealed" && [ ! -e "$t/failed" ] || exit 1
cp "$t/sealed" ${kept}.new && sync ${kept}.new && mv -fT ${kept}.new ${kept} && sync ${dirname(kept)}
)`,
    stdin: keyInput(inputs, passphrase),
  };
}

/** Gives a file another name, too: it is still there, should what is to take its place find no room. */
const setAside = sh`set_aside() { [ "$1" -ef "$1.set-aside" ] || ln --backup=numbered -T "$1" "$1.set-aside"; }`;

/** The blob that state holds, for a client that has lost it, or has something else in its place. */
function putBack(name: string, sealed: Secret): Step[] {
  const kept = recoveryFile(name);
  return [
    {
      do: "run",
      title: "set aside the client's sealed copy",
      command: sh`${setAside}
install -d -m 0700 ${dirname(kept)} && { [ ! -e ${kept} ] || { set_aside ${kept} && echo ${`${kept} did not open, was another disk's or not ASCII-armored: it is ${kept}.set-aside now`}; }; }`,
    },
    writeStep(kept, sealed.reveal(), 0o600),
  ];
}

/**
 * Whether the state, which holds text, can hold the file: one that somebody sealed by hand without `--armor` opens as well,
 * and would be kept as something that does not.
 */
const isArmored = (file: Buffer): boolean =>
  isAscii(file) && file.indexOf("-----BEGIN PGP MESSAGE-----") === 0;

/**
 * Whether the client's file may take the place of the blob that state holds. That may be the last one that opens the
 * disk, and the file one that somebody damaged or exchanged.
 */
async function isThisDisks(
  host: Host,
  { name, luksUuid, passphrase }: Inputs<typeof definition>,
  file: Buffer,
  last: Secret,
): Promise<boolean> {
  if (file.equals(Buffer.from(last.reveal()))) return true;
  return (await askWith(host, gpgHeader, { stdin: passphrase }, recoveryFile(name))) === luksUuid;
}

/** Only a pair that opens this disk is put back. What lies there already and differs keeps another name. */
function restore(inputs: Inputs<typeof definition>): RunStep {
  const { name, keyFile, keyReading, header, luksUuid, passphrase } = inputs;
  const kept = recoveryFile(name);
  const sealed = isSealed(inputs);
  // A key file that gpg sealed gets its passphrase back. Sealed anew it would differ, so the one that is right stays.
  const putKey = sealed
    ? sh`if [ -e ${keyFile} ] && ${plainKey(keyFile)} | cmp -s - "$t/key"; then exit 0; fi
printf '%s\\n' "$passphrase" | { exec 3<&0 </dev/null && ${gpgBy(3)} ${sealing} --output "$t/sealed" "$t/key"; } && put "$t/sealed" ${keyFile} 0400`
    : sh`put "$t/key" ${keyFile} 0400`;
  const opens = withEitherReading(
    new Command('"$t/key"'),
    false,
    (key) => sh`${tryingKey} ${key} "$t/header"`,
    keyReading,
  );
  return {
    do: "run",
    title: "put key and header back from the blob (gpg --decrypt)",
    command: sh`(
{ ${inMemory("restore")}${sealed ? sh` && IFS= read -r passphrase` : sh``} && exec 3<&0 </dev/null; } || exit 1
said=$({ ${unpackSecrets(kept, "key", "header")}; } 2>&1) || {
  echo "$said" >&2
  case $said in
    *"No space left on device"*) echo ${`/run has no room for what ${kept} holds, a header of up to 16 MiB. Nothing was put back. See what fills it (df /run; du /run); a session's disk that is detached gives its share back (systemctl stop netdisk@NAME.target). Then run the same again.`} ;;
    *) echo ${`${kept} cannot be opened: it is damaged, or sealed with another passphrase than the stack's. Give the stack the passphrase that the blob was sealed with (docs/recovery.md).`} ;;
  esac >&2
  exit 1
}
[ "$(cryptsetup luksUUID "$t/header")" = ${luksUuid} ] && ${opens} || { echo ${`${kept} does not open the disk with LUKS UUID ${luksUuid}: nothing was put back. Use the blob of this disk (docs/recovery.md).`} >&2; exit 1; }
${setAside}
beside() { rm -f "$2.new" && cp --sparse=always "$1" "$2.new" && chmod "$3" "$2.new" && sync "$2.new"; }
put() {
  install -d -m 0700 "\${2%/*}" || return 1
  if cmp -s "$1" "$2"; then return 0; fi
  beside "$@" || { rm -f "$2.new"; return 1; }
  if [ -e "$2" ]; then
    set_aside "$2" || return 1
    echo "$2 was another one: it is $2.set-aside now"
  fi
  mv -fT "$2.new" "$2" && sync "\${2%/*}"
}
put "$t/header" ${header} 0600 && { ${putKey}; }
)`,
    stdin: keyInput(inputs, passphrase),
  };
}

export const recovery = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  keepWhenGone: true,
  renewed: ["sealed"],

  async observe(host, inputs, known) {
    const { name, keyFile, header, passphrase } = inputs;
    const path = recoveryFile(name);
    const [file, copy, ...places] = await Promise.all([
      host.readFile(path),
      ask(host, luksHeader, header),
      ask(host, statPath, keyFile),
      ask(host, statPath, header),
    ]);
    const inPlace = places.every((place) => place !== undefined);
    const compared = file !== undefined && inPlace;
    const armored = file !== undefined && isArmored(file);
    const current =
      compared &&
      armored &&
      (await askWith(
        host,
        gpgCheck,
        { stdin: keyInput(inputs, passphrase) },
        path,
        keyFile,
        header,
        isSealed(inputs),
      )) === "current";
    const { luksUuid, sealed: last } = known.state ?? {};
    const taken =
      file !== undefined &&
      (last === undefined || (armored && (current || (await isThisDisks(host, inputs, file, last)))));
    const sealed = taken ? new Secret(file.toString("ascii")) : last;
    if (sealed === undefined) return { is: "absent" };
    return {
      is: "present",
      state: {
        ...{ name, keyFile, header, luksUuid: compared ? copy?.uuid : luksUuid },
        // What cannot give back what is missing is as good as none. Where nothing is missing, it is sealed anew.
        ...{ kept: taken || compared, inPlace, current, sealed },
      },
    };
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return [seal(inputs)];
    const { kept, inPlace, current, sealed } = observed.state;
    if (!kept && sealed instanceof Secret) return putBack(inputs.name, sealed);
    if (!inPlace) return [restore(inputs)];
    return current ? [] : [seal(inputs)];
  },

  planRemoval: () => [],
});
