/**
 * Key and header, sealed with the recovery passphrase (schema/crypt.ts, docs/recovery.md). Plain bytes go from
 * tar to gpg through a pipe and are never in a file of their own; the passphrase comes on stdin.
 */
import { dirname } from "node:path";
import { recovery as definition } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import { recoveryFile } from "../../schema/paths";
import { Secret } from "../../schema/secret";
import { ask, askWith } from "../fact";
import { luksHeader } from "../facts/cryptsetup";
import { gpg, gpgCheck, secretsDirectory, tarOfSecrets } from "../facts/gpg";
import { sh } from "../host/sh";
import { resourceType, type RunStep, type Step } from "../resource";

/** gpg's slowest derivation of a key from the passphrase. */
const sealing = [
  ...["--symmetric", "--armor", "--cipher-algo", "aes256", "--digest-algo", "sha512"],
  ...["--s2k-mode", "3", "--s2k-digest-algo", "sha512", "--s2k-count", "65011712", "--compress-algo", "none"],
];

/** Only what opens the disk is sealed: a blob that does may be the last one. */
function seal({ name, keyFile, header, luksUuid, passphrase }: Inputs<typeof definition>): RunStep {
  const kept = recoveryFile(name);
  return {
    do: "run",
    title: "seal key and header (gpg --symmetric)",
    command: sh`[ "$(cryptsetup luksUUID ${header})" = ${luksUuid} ] && cryptsetup open --test-passphrase --key-file ${keyFile} ${header} </dev/null || { echo ${`${keyFile} and ${header} do not open the disk with LUKS UUID ${luksUuid}: not sealed, the blob that is there stays. Put both back from it (docs/recovery.md).`} >&2; exit 1; }
install -d -m 0700 ${dirname(kept)} && (
${secretsDirectory(keyFile, header)}
{ ${tarOfSecrets} || : >"$t/failed"; } | ${gpg} ${sealing} --output "$t/sealed" && [ ! -e "$t/failed" ] || exit 1
cp "$t/sealed" ${kept}.new && sync ${kept}.new && mv -fT ${kept}.new ${kept} && sync ${dirname(kept)}
)`,
    stdin: passphrase,
  };
}

/** The blob that state holds, for a client that has lost it. */
const putBack = (name: string, sealed: Secret): Step[] => [
  { do: "run", title: "make its directory", command: sh`install -d -m 0700 ${dirname(recoveryFile(name))}` },
  {
    do: "write",
    title: `write ${recoveryFile(name)}`,
    path: recoveryFile(name),
    content: sealed.reveal(),
    mode: 0o600,
  },
];

export const recovery = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  keepWhenGone: true,

  async observe(host, inputs, known) {
    const { name, keyFile, header, passphrase } = inputs;
    const path = recoveryFile(name);
    const [file, copy] = await Promise.all([host.readFile(path), ask(host, luksHeader, header)]);
    if (file === undefined) {
      const { sealed, luksUuid } = known.state ?? {};
      if (sealed === undefined) return { is: "absent" };
      return {
        is: "present",
        state: { name, keyFile, header, luksUuid, kept: false, current: false, sealed },
      };
    }
    const check = await askWith(host, gpgCheck, { stdin: passphrase }, path, keyFile, header);
    return {
      is: "present",
      state: {
        name,
        keyFile,
        header,
        luksUuid: copy?.uuid,
        kept: true,
        current: check === "current",
        sealed: new Secret(file.toString("ascii")),
      },
    };
  },

  plan(observed, inputs) {
    if (observed.is === "absent") return [seal(inputs)];
    const { kept, current, sealed } = observed.state;
    if (!kept && sealed instanceof Secret) return putBack(inputs.name, sealed);
    return current ? [] : [seal(inputs)];
  },

  planRemoval: () => [],
});
