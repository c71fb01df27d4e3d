/** The disk's key on the client (schema/crypt.ts). Made once, never overwritten, never removed, never read by us. */
import { basename, dirname } from "node:path";
import { luksKey as definition } from "../../schema/crypt";
import { headerFile, keyFile } from "../../schema/paths";
import { ask } from "../fact";
import { statPath } from "../facts/stat";
import { type Command, sh } from "../host/sh";
import { resourceType } from "../resource";

/** Does not overwrite: whoever made a key meanwhile keeps it. A rename, so that no kill leaves a second link to it. */
function makeKey(path: string, bytes: number): Command {
  const made = `${dirname(path)}/.${basename(path)}.new`;
  return sh`umask 077; install -d -m 0700 ${dirname(path)} && rm -f ${made} && head -c ${bytes} /dev/urandom >${made} && [ "$(stat -c %s ${made})" = ${bytes} ] && chmod 0400 ${made} && sync ${made} && mv -nT ${made} ${path} && [ ! -e ${made} ] && sync ${dirname(path)}`;
}

export const luksKey = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ path: keyFile(name) }),
  keepWhenGone: true,

  async observe(host, inputs, known) {
    const path = keyFile(inputs.name);
    const header = headerFile(inputs.name);
    const [file, directory, copy] = await Promise.all([
      ask(host, statPath, path),
      ask(host, statPath, dirname(path)),
      ask(host, statPath, header),
    ]);
    if (!file && known.state) {
      // Never "absent" once it was there: a new key would open nothing. Recovery puts it back.
      const { bytes = inputs.bytes } = known.state;
      return { is: "present", state: { name: inputs.name, bytes, private: true, exists: false, path } };
    }
    if (!file && copy) {
      return {
        is: "foreign",
        what: `the key of the disk "${inputs.name}", ${path}, is gone, but the header that it opens is there (${header})`,
        cure: `Put the key back, from a backup or from the sealed copy in the stack's state (docs/recovery.md); to give the old disk up, remove ${header}.`,
      };
    }
    if (!file) return { is: "absent" };
    if (file.kind !== "regular file" || file.size !== inputs.bytes) {
      return {
        is: "foreign",
        what: `${path} is a ${file.kind} of ${file.size} bytes, not a key of ${inputs.bytes}`,
        cure: "Set `bytes` to its length if it is the disk's key; otherwise move it away.",
      };
    }
    const isPrivate =
      file.mode === "400" &&
      file.owner === "root:root" &&
      directory?.mode === "700" &&
      directory.owner === "root:root";
    return {
      is: "present",
      state: { name: inputs.name, bytes: file.size, private: isPrivate, exists: true, path },
    };
  },

  plan(observed, inputs) {
    const path = keyFile(inputs.name);
    if (observed.is === "absent") {
      return [
        {
          do: "run",
          title: `make a key of ${inputs.bytes} random bytes`,
          command: makeKey(path, inputs.bytes),
        },
      ];
    }
    if (observed.state.private) return [];
    return [
      {
        do: "run",
        title: "make the key private",
        command: sh`chown root:root ${dirname(path)} ${path} && chmod 0700 ${dirname(path)} && chmod 0400 ${path}`,
      },
    ];
  },

  planRemoval: () => [],
});
