/**
 * The order to destroy a disk, the server's part (schema/erase.ts, docs/erase.md): its file. Carried out after the
 * client's part, when the file's own resource and all that uses it is gone. The note names inode and birth of the file, so
 * that no other file is removed, whatever has its path; one that holds another disk by now is left, too.
 */
import { dirname } from "node:path";
import type { Inputs } from "../../schema/define";
import { eraseFile as definition } from "../../schema/erase";
import { eraseNote, madeNote } from "../../schema/paths";
import { backingFile as layer } from "../../schema/server";
import { inUse } from "../facts/deviceUsers";
import { usersOfFile } from "../facts/fileUsers";
import { Command, sh } from "../host/sh";
import { noteIntent } from "../intent";
import { type RunStep, resourceType } from "../resource";
import { begunNote, closeOrder, guards, observeOrder, planOrder, planOrderRemoval } from "./eraseOrder";

type Wishes = Inputs<typeof definition>;

const identityOf = ({ path, luksUuid }: Wishes): Command =>
  new Command(`"$(echo ${sh`${luksUuid}`.text} $(stat -c '%i %W' -- ${sh`${path}`.text}))"`);

function destroy(inputs: Wishes): RunStep {
  const { name, path, luksUuid } = inputs;
  const [note, made] = [eraseNote(name), madeNote(name)];
  return {
    do: "run",
    title: `ERASE ${path}, LUKS UUID ${luksUuid}`,
    // nbd-server's sessions end a moment after their clients.
    command: sh`${guards(inputs)}
users() (
${usersOfFile.command(path)}
)
size=gone
if test -e ${path}; then
  if test -e ${note}; then [ "$(cat ${note})" = ${identityOf(inputs)} ] || refuse ${`${path} is another file than the one that was to be erased`} "Put that right"; fi
  is_it ${path} || zero ${path} || refuse ${`${path} is not the file of the disk with LUKS UUID ${luksUuid}, it holds`}" $(held ${path})" "Put that right"
  tries=0
  while found=$(users) || exit 1; [ -n "$found" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 20 ]; then echo ${`${path} is in use: `}"$found. This run destroyed nothing" >&2; exit ${inUse}; fi
    sleep 0.5
  done
  size=$(size_of ${path}) || exit 1
  ${noteIntent(begunNote(name), luksUuid)} || exit 1
  rm -f -- ${path} && sync -- ${dirname(path)} || exit 1
else
  begun || refuse ${`there is no ${path}`} ${`Mount its file system; if you removed the file yourself, remove its notes on the server (\`${sh`rm -f ${[note, made]}`.text}\`)`}
fi
rm -f -- ${made}
${closeOrder(name)} || exit 1
echo ${`ERASED the file of the disk ${name}, LUKS UUID ${luksUuid}: ${path}`} "($size bytes)"`,
    inUse,
    report: true,
  };
}

export const eraseFile = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,

  async observe(host, inputs, known) {
    const { path } = inputs;
    const place = { layer, path, called: `${path} on this server`, what: `${path} with all that it holds` };
    const order = await observeOrder(host, inputs, place, known);
    return order.is === "present" ? { ...order, state: { ...order.state, path } } : order;
  },

  plan: (observed, inputs) => planOrder(observed, inputs, identityOf(inputs)),
  planRemoval: (observed, inputs) => planOrderRemoval(observed, inputs, destroy(inputs)),
});
