/** The open mapping and the unit that opens it (schema/crypt.ts, docs/units.md). */
import { mapping as definition } from "../../schema/crypt";
import type { Inputs } from "../../schema/define";
import {
  attachUnit,
  diskTarget,
  inMemoryDir,
  mappedDevice,
  openUnit,
  passphraseId,
  sessionScript,
} from "../../schema/paths";
import { ask } from "../fact";
import { luksHeader } from "../facts/cryptsetup";
import { dmsetupCrypt } from "../facts/dmsetup";
import { derivationMs, isSealed, keyInput, unseal, withEitherReading } from "../facts/plainKey";
import { blockDevice } from "../facts/sysfs";
import { type Command, sh } from "../host/sh";
import { type RunStep, resourceType } from "../resource";
import { part, raw } from "../template";
import { type ChainUnit, chainUnit, install, noteOf, observeUnit, systemctl, uninstall } from "./chainUnit";
import { inOrder } from "./takeDown";
import { isLocked, lockedIsFine, lockedNote, openWithPassphrase } from "./unlock";
import { bounded } from "./writtenOut";

/** Of each opening, for those who read or sync beside a writer (schema/crypt.ts, workqueuesBypassed). */
const openOptions = ["--perf-no_read_workqueue", "--perf-no_write_workqueue"];

const unitOf = (inputs: Inputs<typeof definition>): ChainUnit => {
  const { name, device, header, keyFile, keyReading, luksUuid, cipher } = inputs;
  return chainUnit("open", name, openUnit(name), {
    script: {
      patiently: part("patiently.sh"),
      resume: part("resume.sh"),
      device,
      header,
      key: keyFile,
      sealed: isSealed(inputs) ? "yes" : "no",
      reading: keyReading,
      question: passphraseId(name),
      uuid: luksUuid,
      cipher,
      options: raw(openOptions.join(" ")),
      gnupgHome: inMemoryDir("key"),
      session: sessionScript(name),
    },
    service: { target: diskTarget(name), attach: attachUnit(name) },
  });
};

/** Without header or key the unit would try again for ever. */
const open = (start: RunStep, { header, keyFile }: Inputs<typeof definition>): RunStep => ({
  ...start,
  command: sh`for file in ${[header, keyFile]}; do
  [ -e "$file" ] || { echo "$file" ${"is gone, and nothing has put it back: a stack with `recovery: none` keeps no copy. Bring it back from a backup of your own."} >&2; exit 1; }
done
${start.command}`,
});

/** What changes the open mapping, and wants the key. `use` gets the options that name header and key. */
function withDiskKey(
  inputs: Inputs<typeof definition>,
  title: string,
  use: (options: Command) => Command,
): RunStep {
  const { header, keyFile, keyReading } = inputs;
  const sealed = isSealed(inputs);
  const command = withEitherReading(keyFile, sealed, (key) => use(sh`--header ${header} ${key}`), keyReading);
  return {
    do: "run",
    title,
    command: sealed ? sh`${unseal(keyFile, sealed)}${command}` : sh`${command} </dev/null`,
    stdin: keyInput(inputs),
    timeoutMs: derivationMs,
  };
}

const widen = (inputs: Inputs<typeof definition>): RunStep =>
  withDiskKey(
    inputs,
    `cryptsetup resize ${inputs.name}`,
    (options) => sh`cryptsetup resize ${options} ${inputs.name}`,
  );

/** After luksSuspend the kernel has no key any more and refuses a plain resume, which does no harm then. */
function resume(inputs: Inputs<typeof definition>): RunStep {
  const { name } = inputs;
  const anew = withDiskKey(
    inputs,
    `resume ${name}, with its key where that was wiped`,
    (options) => sh`cryptsetup luksResume ${options} ${name}`,
  );
  return {
    ...anew,
    command: sh`dmsetup resume ${name} 2>/dev/null || {
${anew.command}
}`,
  };
}

/** Some kernels forget it with the mapping's table. */
const handOnReadAhead = ({ name, device }: Inputs<typeof definition>): RunStep => ({
  do: "run",
  title: `hand the read-ahead of ${device} on to ${mappedDevice(name)}`,
  command: sh`cat "/sys/class/block/$(basename "$(readlink -f ${device})")/queue/read_ahead_kb" >"/sys/class/block/$(basename "$(readlink -f ${mappedDevice(name)})")/queue/read_ahead_kb"`,
});

/** Milliseconds: all that may wait, over a slow link. */
const writeOutMs = 4 * 3_600_000;

/** A refresh freezes the file system until all that was written to it is on the server: so most of it goes there before. */
const writeOut = ({ name }: Inputs<typeof definition>): RunStep => ({
  do: "run",
  title: `write out what waits for ${mappedDevice(name)}`,
  command: sh`dm=$(basename "$(readlink -f ${mappedDevice(name)})")
${bounded}
findmnt --noheadings --output TARGET --source ${mappedDevice(name)} | while read -r path; do
  bounded 60 sync -f "$path" || { echo "what is written to $path does not come to the server (sync -f $ended)."${` \`netdisk status ${name}\` says why; then run \`pulumi up\` again.`} >&2; exit 1; }
done`,
  timeoutMs: writeOutMs,
});

/** With the options of an opening by the script, and no others. */
const refresh = (inputs: Inputs<typeof definition>): RunStep =>
  withDiskKey(
    inputs,
    `cryptsetup refresh ${inputs.name}`,
    (options) => sh`cryptsetup refresh ${openOptions} ${options} ${inputs.name}`,
  );

export const mapping = resourceType<typeof definition>({
  definition,
  name: (inputs) => inputs.name,
  predict: ({ name }) => ({ unit: openUnit(name), mapped: mappedDevice(name) }),
  satisfied: lockedIsFine,

  async observe(host, inputs) {
    const { name, device, header } = inputs;
    const unit = unitOf(inputs);
    const [{ exists, installed, active, note }, crypt, below, copy, locked] = await Promise.all([
      observeUnit(host, unit),
      ask(host, dmsetupCrypt, name),
      ask(host, blockDevice, device),
      ask(host, luksHeader, header),
      isLocked(host, name),
    ]);
    if (crypt && crypt.luksUuid !== inputs.luksUuid) {
      return {
        is: "foreign",
        what: `${mappedDevice(name)} is another mapping (${crypt.dmUuid || "without UUID"}), expected LUKS UUID ${inputs.luksUuid}`,
        cure: "Close or rename it.",
      };
    }
    if (!exists && !crypt) return { is: "absent" };
    return {
      is: "present",
      state: {
        name,
        device,
        keyFile: inputs.keyFile,
        header,
        // As it would be opened; what runs under the name is part of `active`, because that can be repaired.
        luksUuid: copy?.uuid,
        cipher: copy?.cipher,
        installed,
        whole: !crypt || !below || crypt.below !== below.number || crypt.offset + crypt.size >= below.size,
        resumed: crypt?.suspended !== true,
        workqueuesBypassed: crypt?.bypassesWorkqueues !== false,
        // What the header itself wants comes back with each opening.
        discardsWithheld: crypt?.passesDiscards !== true || copy?.passesDiscards === true,
        active:
          active && crypt !== undefined && crypt.below === below?.number && crypt.cipher === inputs.cipher,
        unit: unit.unit,
        mapped: mappedDevice(name),
        locked,
      },
      ...noteOf(locked ? lockedNote(name) : undefined, note),
      ...(copy?.passesDiscards === true && {
        warning:
          `the header of the disk "${name}" has the flag allow-discards for good (\`cryptsetup --persistent\`), so the server is told which blocks are free. ` +
          "Make a second disk, whose header netdisk makes, and copy the files (docs/adopt.md)",
      }),
    };
  },

  plan(observed, inputs) {
    const unit = unitOf(inputs);
    const { name, keyPassphrase } = inputs;
    const { installed, active, whole, resumed, workqueuesBypassed, discardsWithheld } =
      observed.is === "present"
        ? observed.state
        : {
            ...{ installed: false, active: false, whole: true, resumed: true },
            ...{ workqueuesBypassed: true, discardsWithheld: true },
          };
    const optionsInOrder = (workqueuesBypassed && discardsWithheld) || !active;
    const start =
      keyPassphrase === undefined
        ? systemctl("restart", unit)
        : openWithPassphrase(name, keyPassphrase, !installed);
    return [
      ...(installed ? [] : install(unit)),
      // A stop would wait for it, too.
      ...(resumed ? [] : [resume(inputs)]),
      ...(active ? [] : [open(start, inputs)]),
      ...(whole ? [] : [widen(inputs)]),
      ...(optionsInOrder ? [] : [writeOut(inputs), refresh(inputs)]),
      ...(whole && optionsInOrder ? [] : [handOnReadAhead(inputs)]),
    ];
  },

  planRemoval(observed, inputs) {
    if (observed.is === "absent") return [];
    const unit = unitOf(inputs);
    return [
      inOrder(inputs.name),
      systemctl("stop", unit),
      {
        do: "run",
        title: `dmsetup remove ${inputs.name}, if it was opened by hand`,
        // dmsetup has one status for "no such device" and for errors; the former says so.
        command: sh`if found=$(dmsetup info ${inputs.name} 2>&1); then dmsetup remove --retry ${inputs.name}; else case $found in *"Device does not exist."*) ;; *) echo "$found" >&2; exit 1 ;; esac; fi`,
      },
      uninstall(unit),
    ];
  },
});
