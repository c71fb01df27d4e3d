/**
 * The disk's key on the client (schema/crypt.ts). Made once. Luks puts another key in its place (keyChange.ts), Recovery
 * puts a lost one back, and another passphrase seals the same key anew (here); nobody removes it but an order to erase the
 * disk. Never read by us.
 */
import { basename, dirname } from "node:path";
import { luksKey as definition } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import { headerFile, keyFile } from "../../schema/paths";
import { Secret } from "../../schema/secret";
import { isClaimed } from "../claims";
import { ask, askWith } from "../fact";
import { luksHeader } from "../facts/cryptsetup";
import { gpgKeyBytes } from "../facts/gpg";
import { gpgBy, sealing } from "../facts/gpgCommand";
import { headersOpened } from "../facts/headersOpened";
import { inMemory } from "../facts/inMemory";
import { derivationMs, keyInput, plainKey } from "../facts/plainKey";
import { statPath } from "../facts/stat";
import type { Host } from "../host/host";
import { type Command, sh } from "../host/sh";
import { resourceType, type RunStep } from "../resource";
import { notTakenDown } from "./adoption";

type Wishes = Inputs<typeof definition>;

const pathOf = ({ name, gpg }: Wishes): string => gpg ?? keyFile(name);

/** The article's `openssl rand | gpg --symmetric`: the key is in the pipe only. Opened once to see that it is all there. */
const makeSealed = (made: string, bytes: number): Command =>
  sh`mkdir -p -m 0700 ${dirname(made)} && { ${inMemory("key")}; } && IFS= read -r passphrase && printf '%s\\n' "$passphrase" | { exec 3<&0 && head -c ${bytes} /dev/urandom | ${gpgBy(3)} ${sealing} --output ${made}; } && [ "$(${plainKey(made)} | wc -c)" = ${bytes} ]`;

const makePlain = (made: string, bytes: number): Command =>
  sh`install -d -m 0700 ${dirname(made)} && head -c ${bytes} /dev/urandom >${made} && [ "$(stat -c %s ${made})" = ${bytes} ]`;

/** Does not overwrite: whoever made a key meanwhile keeps it. A rename, so that no kill leaves a second link to it. */
function makeKey(path: string, make: (made: string) => Command): Command {
  const made = `${dirname(path)}/.${basename(path)}.new`;
  return sh`umask 077; rm -f ${made} && ${make(made)} && chmod 0400 ${made} && sync ${made} && mv -nT ${made} ${path} && [ ! -e ${made} ] && sync ${dirname(path)}`;
}

/** The same key under another passphrase: compared before it takes the place of the old file. */
function sealAnew(path: string, before: Secret, now: Secret): RunStep {
  const made = `${dirname(path)}/.${basename(path)}.new`;
  return {
    do: "run",
    title: `seal ${path} with the new passphrase (gpg --symmetric)`,
    command: sh`{ ${inMemory("key")}; } && IFS= read -r passphrase && IFS= read -r now && rm -f ${made} || exit 1
digest=$({ ${plainKey(path)} || : >"$t/failed"; } | sha256sum) && [ ! -e "$t/failed" ] || exit 1
printf '%s\\n' "$now" | { exec 3<&0 && ${plainKey(path)} | ${gpgBy(3)} ${sealing} --output ${made}; } || exit 1
passphrase=$now
[ "$(${plainKey(made)} | sha256sum)" = "$digest" ] || { echo ${`${made} does not hold the key of ${path}: that stays as it was`} >&2; exit 1; }
chmod 0400 ${made} && sync ${made} && mv -fT ${made} ${path} && sync ${dirname(path)}`,
    stdin: new Secret(`${before.reveal()}\n${now.reveal()}\n`),
    timeoutMs: derivationMs,
  };
}

/**
 * A disk that left its stack unharmed has no claim any more, and needs its key file all the same: it is not taken for
 * another disk, which would change and destroy it. Asked once, of a file that is there before its disk.
 */
async function givenBack(
  host: Host,
  { name, passphrase, adopt }: Wishes,
  path: string,
): Promise<{ is: "foreign"; what: string; cure: string } | undefined> {
  const headers = await askWith(
    host,
    headersOpened,
    { stdin: keyInput({ keyPassphrase: passphrase }) },
    path,
    headerFile(name),
  );
  for (const header of headers) {
    const other = basename(header, ".luks");
    // In a stack it has a key file of its own, which the claims see to; or it is the very disk, under another name.
    if (await isClaimed(host, definition, other)) continue;
    if (adopt !== undefined && (await ask(host, luksHeader, header))?.uuid === adopt) continue;
    return {
      is: "foreign",
      what: `${path} is the key of the disk "${other}", which is in no stack and whose header is there (${header})`,
      cure: `Name another file in \`key.gpg\`, which is made if it is missing. If that disk is given up, or has a copy of the key elsewhere, move ${header} away.`,
    };
  }
  return undefined;
}

export const luksKey = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: (inputs) => ({ path: pathOf(inputs) }),
  keepWhenGone: true,
  ownFile: (inputs) => ({
    path: pathOf(inputs),
    cure: "Name another file in `key.gpg`, which is made if it is missing; for a disk that was made with this very key, a copy of it.",
  }),

  check({ gpg, passphrase }) {
    if ((gpg === undefined) === (passphrase === undefined)) return [];
    return gpg === undefined
      ? [
          {
            property: "passphrase",
            reason: "belongs to a sealed key file. Name it in `gpg`, or leave it out.",
          },
        ]
      : [{ property: "passphrase", reason: "is missing. The key file that `gpg` names is sealed with it." }];
  },

  async observe(host, inputs, known) {
    const { name, bytes, gpg, passphrase, adopt } = inputs;
    const path = pathOf(inputs);
    const header = headerFile(inputs.name);
    // Asked here, because this is the first thing of the disk on the client: before a second nbd-client attaches it.
    if (adopt !== undefined && !known.state) {
      const left = await notTakenDown(host, name, adopt);
      if (left) return left;
    }
    const [file, directory, copy] = await Promise.all([
      ask(host, statPath, path),
      ask(host, statPath, dirname(path)),
      ask(host, statPath, header),
    ]);
    if (!file && known.state) {
      // Never "absent" once it was there: a new key would open nothing. Recovery puts it back.
      return {
        is: "present",
        state: {
          ...{ name, bytes: known.state.bytes ?? bytes, gpg, path, openedBy: known.state.openedBy },
          ...{ private: true, sealed: true, exists: false },
        },
      };
    }
    if (!file && copy) {
      return {
        is: "foreign",
        what: `the key of the disk "${inputs.name}", ${path}, is gone, but the header that it opens is there (${header})`,
        cure: `Put the key back, from a backup or from the sealed copy in the stack's state (docs/recovery.md); to give the old disk up, remove ${header}.`,
      };
    }
    if (!file && adopt !== undefined) {
      return {
        is: "foreign",
        what: `there is no ${path}, which would be the key of the disk to adopt, "${name}"`,
        cure:
          gpg === undefined
            ? `Put the key there (\`install -D -m 0400 KEY ${path}\`), or name the file that gpg sealed in \`key.gpg\`.`
            : "Name the file that gpg sealed in `key.gpg`, or put it there.",
      };
    }
    if (!file) return { is: "absent" };
    const plain = gpg === undefined || file.kind !== "regular file";
    const bytesBy = (keyPassphrase: Secret | undefined) =>
      askWith(host, gpgKeyBytes, { stdin: keyInput({ keyPassphrase }) }, path);
    const now = plain ? file.size : await bytesBy(passphrase);
    const sealed = now !== undefined;
    const openedBy = sealed ? passphrase : known.state?.openedBy;
    const length = sealed ? now : openedBy && (await bytesBy(openedBy));
    if (length === undefined) {
      return {
        is: "foreign",
        what: `${path} does not open with the passphrase of the disk "${name}"`,
        cure: "Give `key.passphrase` the one that it was sealed with; if it is no key of this disk, name another file.",
      };
    }
    if (file.kind !== "regular file" || length !== bytes) {
      return {
        is: "foreign",
        what: `${path} is a ${file.kind} of ${length} bytes, not a key of ${bytes}`,
        cure: "Set `bytes` to its length if it is the disk's key; otherwise move it away.",
      };
    }
    if (sealed && gpg !== undefined && !known.state && !copy) {
      const other = await givenBack(host, inputs, gpg);
      if (other) return other;
    }
    const isPrivate =
      file.mode === "400" &&
      file.owner === "root:root" &&
      (gpg !== undefined || (directory?.mode === "700" && directory.owner === "root:root"));
    return {
      is: "present",
      state: { name, bytes: length, gpg, private: isPrivate, sealed, exists: true, path, openedBy },
    };
  },

  plan(observed, inputs) {
    const { bytes, gpg, passphrase } = inputs;
    const path = pathOf(inputs);
    if (observed.is === "absent") {
      const make = gpg === undefined ? makePlain : makeSealed;
      return [
        {
          do: "run",
          title: `make a key of ${bytes} random bytes${gpg === undefined ? "" : ", sealed by gpg --symmetric"}`,
          command: makeKey(path, (made) => make(made, bytes)),
          stdin: keyInput({ keyPassphrase: passphrase }),
        },
      ];
    }
    const { openedBy } = observed.state;
    if (!observed.state.sealed && openedBy && passphrase) return [sealAnew(path, openedBy, passphrase)];
    if (observed.state.private) return [];
    // Who may enter the directory of a sealed key is not ours to say: it may be any.
    const directory =
      gpg === undefined ? sh`chown root:root ${dirname(path)} && chmod 0700 ${dirname(path)} && ` : sh``;
    return [
      {
        do: "run",
        title: "make the key private",
        command: sh`${directory}chown root:root ${path} && chmod 0400 ${path}`,
      },
    ];
  },

  planRemoval: () => [],
});
