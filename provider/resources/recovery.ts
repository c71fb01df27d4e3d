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
import { resourceType, type RunStep } from "../resource";

/** gpg's slowest derivation of a key from the passphrase. */
const sealing = [
  ...["--symmetric", "--armor", "--cipher-algo", "aes256", "--digest-algo", "sha512"],
  ...["--s2k-mode", "3", "--s2k-digest-algo", "sha512", "--s2k-count", "65011712", "--compress-algo", "none"],
];

function seal({ name, keyFile, header, passphrase }: Inputs<typeof definition>): RunStep {
  const kept = recoveryFile(name);
  return {
    do: "run",
    title: "seal key and header (gpg --symmetric)",
    command: sh`install -d -m 0700 ${dirname(kept)} && (
${secretsDirectory(keyFile, header)}
{ ${tarOfSecrets} || : >"$t/failed"; } | ${gpg} ${sealing} --output "$t/sealed" && [ ! -e "$t/failed" ] || exit 1
cp "$t/sealed" ${kept}.new && sync ${kept}.new && mv -fT ${kept}.new ${kept} && sync ${dirname(kept)}
)`,
    stdin: passphrase,
  };
}

export const recovery = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  async observe(host, inputs) {
    const { name, keyFile, header, passphrase } = inputs;
    const path = recoveryFile(name);
    const [sealed, copy] = await Promise.all([host.readFile(path), ask(host, luksHeader, header)]);
    if (sealed === undefined) return { is: "absent" };
    const check = await askWith(host, gpgCheck, { stdin: passphrase }, path, keyFile, header);
    return {
      is: "present",
      state: {
        name,
        keyFile,
        header,
        luksUuid: copy?.uuid,
        current: check === "current",
        sealed: new Secret(sealed.toString("ascii")),
      },
    };
  },

  plan: (observed, inputs) => (observed.is === "present" && observed.state.current ? [] : [seal(inputs)]),

  planRemoval: (observed, inputs) =>
    observed.is === "absent"
      ? []
      : [{ do: "run", title: "remove the sealed copy", command: sh`rm -f ${recoveryFile(inputs.name)}` }],
});
