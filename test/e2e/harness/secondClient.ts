/**
 * A second client of the disk, on the same host: the product's own script, plugin and command, with a machine id, a host
 * name and a directory of its own, and so with an identity of its own before the server.
 */
import { nbdPrefix, sessionDir, sessionScript } from "../../../schema/paths";
import { sh } from "../../../provider/host/sh";
import { on, startOn } from "./lab";
import { name, status, type Status } from "./outage";
import { until } from "./run";

export const secondName = "elsewhere";
const room = "/run/second-client";
const nbdClient = `${nbdPrefix}/sbin/nbd-client`;

export interface SecondClient {
  /** A command as that client would give it; anything but exit status 0 throws. */
  on(command: string): Promise<string>;
  status(): Promise<Status>;
  /** Writes 4 KiB blocks of its own at a block of the disk, past every cache. */
  write(block: number, count: number): Promise<void>;
  /** Gives the disk back and ends. */
  stop(): Promise<void>;
}

export async function startSecondClient(): Promise<SecondClient> {
  const start = sh`mount --bind ${room}/machine-id /etc/machine-id &&
mount -t tmpfs none ${sessionDir(name)} && hostname ${secondName} && echo $$ >${room}/pid && exec ${sessionScript(name)} start`;
  const running = startOn(
    "client",
    sh`mkdir -p ${room} && od -An -v -tx1 -N16 /dev/urandom | tr -d ' \n' >${room}/machine-id &&
exec unshare --mount --uts sh -c ${start.text}`.text,
  );
  const inside = (command: string): Promise<string> =>
    on("client", sh`nsenter --target "$(cat ${room}/pid)" --mount --uts sh -c ${command}`.text);
  await until("the second client's plugin runs", 30, () =>
    inside(`netdisk status ${name} --json`).then(
      (said) => said.includes('"pid"'),
      () => false,
    ),
  );
  return {
    on: inside,
    status: () => status(name, inside),
    async write(block, count) {
      await inside(
        sh`free=$(grep -lx 0 /sys/block/nbd*/size | tail -n 1 | cut -d / -f 4) &&
${nbdClient} -unix ${sessionDir(name)}/nbd.sock -N ${name} "/dev/$free" -b 4096 >/dev/null &&
dd if=/dev/urandom of="/dev/$free" bs=4096 seek=${block} count=${count} oflag=direct conv=notrunc,fsync status=none &&
${nbdClient} -d "/dev/$free" >/dev/null`.text,
      );
    },
    async stop() {
      await inside(sh`MAINPID=$(cat ${room}/pid) ${sessionScript(name)} stop`.text);
      await running.ended;
      await on("client", sh`rm -r ${room}`.text);
    },
  };
}
