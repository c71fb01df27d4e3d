/** Records every program that is started on a host, with all its arguments: audited by the kernel, not sampled. */
import { bytesOn, on, type HostName } from "./lab";

const log = "/var/log/audit/audit.log";

export async function startTrace(host: HostName): Promise<void> {
  await on(
    host,
    `set -e
     command -v auditctl >/dev/null || {
       apt-get update -qq
       DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends auditd >/dev/null 2>&1
     }
     sed -i 's/^max_log_file_action .*/max_log_file_action = KEEP_LOGS/' /etc/audit/auditd.conf
     service auditd restart >/dev/null 2>&1 || systemctl restart auditd
     auditctl -D >/dev/null
     auditctl -b 65536 >/dev/null
     auditctl -a always,exit -F arch=b64 -S execve -S execveat >/dev/null`,
  );
}

/** An argument in the log: quoted where it is plain, hex where it is not. */
function decode(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1) : Buffer.from(value, "hex").toString("latin1");
}

/** All arguments of all programs since startTrace, one program per line; throws when the kernel lost a record. */
export async function stopTrace(host: HostName): Promise<string[]> {
  const status = await on(host, "auditctl -s");
  if (!/^lost 0$/m.test(status)) throw new Error(`the trace on the ${host} has holes:\n${status}`);
  await on(host, "auditctl -D >/dev/null");
  const records = (await bytesOn(host, `cat ${log} ${log}.* 2>/dev/null || cat ${log}`)).toString("latin1");
  const programs = new Map<string, string[]>();
  for (const line of records.split("\n")) {
    const event = /^type=EXECVE msg=audit\(([^)]*)\)/.exec(line)?.[1];
    if (event === undefined) continue;
    const words = programs.get(event) ?? [];
    programs.set(event, words);
    // A long argument comes in pieces: a2[0]=… a2[1]=…
    for (const [, argument, piece, value] of line.matchAll(/ a(\d+)(?:\[(\d+)\])?=("[^"]*"|[0-9A-F]+)/g)) {
      const index = Number(argument);
      words[index] = (piece === undefined || piece === "0" ? "" : (words[index] ?? "")) + decode(value!);
    }
  }
  return [...programs.values()].map((words) => words.join(" "));
}
